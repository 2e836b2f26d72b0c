"""Tests of `tfrecords.validation.run`: what is asked for, what is refused."""

import json
import os

import pytest

from tests.tfrecords.record_files import data_config, write_schema
from tests.tfrecords.validation.validated import records, write_records
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.validation.report_table import describe
from tfrecords.validation.run import Options, validate_records


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
  folder = tmp_path / "data"
  write_records(folder, records(8), records(8, 8))
  write_schema(folder)
  return folder


def files_and_schema(folder, **changes):
  glob = str(folder / "*.tfrecord")
  return Options(**{"files": [glob], "schema": str(folder / "schema.json"), **changes})


def test_sections_that_read_the_same_are_read_once(folder):
  config = data_config(folder)
  other = data_config(folder, num_files_to_keep=1)
  sections = {"train_data": config, "validation_data.a": config, "validation_data.b": other}
  result = validate_records(sections, Options())
  assert [found.subject.key for found in result.validations] == ["train_data", "validation_data.b"]
  assert result.same == {"validation_data.a": "train_data"}
  assert (result.exit_code, [found.n_readable for found in result.validations]) == (0, [16, 8])
  assert "validation_data.a: the same files and checks as train_data" in describe(result, "")


def test_a_section_without_files_is_an_error_beside_others(folder, tmp_path):
  lacking = data_config(folder, inputs=str(tmp_path / "nothing/*"))
  report = str(tmp_path / "report.json")
  sections = {"train_data": data_config(folder), "validation_data.a": lacking}
  result = validate_records(sections, Options(report_file=report))
  assert result.exit_code == 3
  assert "no file matches" in result.unusable["validation_data.a"]
  assert "1 error(s), 0 warning(s): exit code 3" in describe(result, "")
  with open(report, encoding="utf-8") as file:
    assert json.load(file)["unusable"].keys() == {"validation_data.a"}
  for sections in ({"train_data": lacking}, {"train_data": lacking, "validation_data.a": lacking}):
    with pytest.raises(DataError, match="no file matches"):
      validate_records(sections, Options())


def test_files_folders_and_globs_by_a_section_s_rules(folder, tmp_path):
  write_records(tmp_path / "new", records(4, 50))
  given = [str(tmp_path / "new"), str(folder / "part-1*"), str(folder / "part-1.tfrecord")]
  result = validate_records({"train_data": data_config(folder)}, Options(files=given))
  paths = [os.path.basename(report.path) for report in result.validations[0].reports]
  assert paths == ["part-0.tfrecord", "part-1.tfrecord"]
  assert result.validations[0].n_readable == 12


def test_checks_of_a_file_for_files_without_a_configuration(folder, tmp_path):
  checks = tmp_path / "checks.yaml"
  checks.write_text("label_rates: {is_liked: {min: 0.5}}\nid_features: [meta.author_id]\n")
  options = files_and_schema(folder, labels=["is_liked"], checks=str(checks))
  (found,) = validate_records({}, options).validations
  assert [finding.kind for finding in found.findings] == ["label_rate"]
  assert found.subject.id_features == ("meta.author_id",)


def test_column_names_in_the_table(folder, tmp_path):
  nan = float("nan")
  write_records(folder, records(8, cont_vals=[1.0, nan, 1.0, nan, 1.0]))
  names = tmp_path / "names.txt"
  names.write_text("a\nbirds\nc\nfish\ne\n")
  checks = {"features": {"continuous": {"column_names": str(names)}}}
  sections = {"train_data": data_config(folder, checks=checks, num_files_to_keep=1)}
  assert "birds 100.000%, fish 100.000%" in describe(validate_records(sections, Options()), "")
  names.write_text("a\nb\n")
  with pytest.raises(DataError, match="column_names: .* holds 2 line"):
    validate_records({"train_data": data_config(folder, checks=checks)}, Options())


def test_a_file_without_permission_or_gone(folder, monkeypatch):
  os.symlink(folder / "nowhere", folder / "part-2.tfrecord")
  result = validate_records({"train_data": data_config(folder)}, Options())
  (finding,) = result.validations[0].findings
  assert (finding.kind, os.path.basename(finding.path)) == ("unreadable", "part-2.tfrecord")
  assert result.exit_code == 3 and result.validations[0].n_readable == 16


@pytest.mark.parametrize(
  "changes, error, message",
  [
    ({"files": []}, ConfigError, "--schema: found without --files"),
    ({"schema": None, "labels": ["a"]}, ConfigError, "--labels: found without --schema"),
    ({"labels": ["is_like"]}, ConfigError, "no feature 'is_like', did you mean 'is_liked'"),
    ({"labels": ["cont_vals"]}, ConfigError, "has float_list of length 5 'cont_vals'"),
    ({"report_file": "part-1.tfrecord"}, ConfigError, "is one of the files of records"),
    ({"report_file": "."}, StorageError, "is a folder, allowed: a file"),
    ({"save_statistics": "schema.json"}, StorageError, "schema.json: already there"),
    ({"schema": "part-0.tfrecord"}, DataError, "part-0.tfrecord is no JSON"),
    ({"schema": "."}, DataError, "--schema: .* cannot be read"),
    ({"files": ["empty_folder"]}, DataError, "the folder holds no file"),
    ({"files": ["nowhere"]}, DataError, "there is no such file"),
    ({"compare_statistics": "nowhere"}, DataError, "cannot be read"),
    ({"compare_statistics": "schema.json"}, DataError, "no statistics of records"),
    ({"checks": "nowhere.yaml"}, ConfigError, "nowhere.yaml"),
    ({"checks": "schema.json"}, ConfigError, "schema: unknown key"),
  ],
)
def test_what_cannot_be(folder, monkeypatch, changes, error, message):
  monkeypatch.chdir(folder)
  (folder / "empty_folder").mkdir()
  with pytest.raises(error, match=message):
    validate_records({}, files_and_schema(folder, **changes))


def test_one_baseline_is_of_one_section(folder, tmp_path):
  sections = {"train_data": data_config(folder), "validation_data.a": data_config(folder)}
  with pytest.raises(ConfigError, match="found with 2 data sections, .*--section"):
    validate_records(sections, Options(save_statistics=str(tmp_path / "x.json")))
  assert not (tmp_path / "x.json").exists()
