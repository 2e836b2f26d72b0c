"""Tests of `tfrecords.generator`: where records go, which bytes, what is there before and after."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords import generator, paths
from tfrecords.config.data import load_data_config
from tfrecords.errors import ConfigError, StorageError
from tfrecords.generator import generate, output_pattern, shard_paths
from tfrecords.input_pipeline import InputPipeline

BAZEL_DATA = ["//configs:all"]

DEMO = f"{paths.package_root()}/configs/demo.yaml"
N_EXAMPLES = 50


@pytest.fixture(name="config")
def fixture_config(tmp_path):
  return _config(f"{tmp_path}/data/*.gz")


def _config(inputs, *overrides):
  return load_data_config(DEMO, (f"train_data.inputs={inputs}", *overrides))


def _records(generated, compression="GZIP"):
  return list(tf.data.TFRecordDataset(list(generated.shards), compression).as_numpy_iterator())


def _digests(generated):
  return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in generated.shards]


def _names(folder):
  return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).exists() else []


def test_writes_where_the_inputs_look(config, tmp_path):
  generated = generate(config, N_EXAMPLES, num_shards=3)
  assert _names(tmp_path / "data") == [f"part-0000{i}-of-00003.gz" for i in range(3)]
  assert generated.pattern == f"{tmp_path}/data/*.gz"
  assert [Path(path).name for path in generated.shards] == _names(tmp_path / "data")
  assert generated.n_examples == len(_records(generated)) == N_EXAMPLES
  assert generated.n_bytes == sum(Path(path).stat().st_size for path in generated.shards)


@pytest.mark.parametrize("kind", generator.KINDS)
def test_the_input_pipeline_reads_them(config, kind):
  generated = generate(config, N_EXAMPLES, kind=kind)
  batches = list(InputPipeline(config, "evaluate").dataset)
  assert sum(len(features["continuous"]) for features, _, _ in batches) == N_EXAMPLES
  for task, rate in generated.positive_rates.items():
    labels = np.concatenate([labels[task] for _, labels, _ in batches])
    assert set(np.unique(labels)) <= {0.0, 1.0}
    assert labels.mean() == pytest.approx(rate)
  for name in ("continuous", "binary", "user_embedding"):
    values = np.concatenate([features[name] for features, _, _ in batches])
    assert np.isfinite(values).all() and (values != 0).any()
  assert set(generated.positive_rates) == set(config.tasks)


@pytest.mark.parametrize("kind", generator.KINDS)
def test_same_arguments_same_bytes(config, kind):
  digests = _digests(generate(config, N_EXAMPLES, kind=kind, seed=3))
  again = generate(config, N_EXAMPLES, kind=kind, seed=3, overwrite=True)
  assert _digests(again) == digests
  other = generate(config, N_EXAMPLES, kind=kind, seed=4, overwrite=True)
  assert not set(_digests(other)) & set(digests)


@pytest.mark.parametrize("kind", generator.KINDS)
def test_a_record_depends_neither_on_shards_nor_on_how_many_follow(tmp_path, config, kind):
  few = _records(generate(config, N_EXAMPLES, num_shards=1, kind=kind, output=f"{tmp_path}/few"))
  more = _records(generate(config, 700, num_shards=7, kind=kind, output=f"{tmp_path}/more"))
  assert more[:N_EXAMPLES] == few
  assert len(set(more)) == len(more) == 700


def test_features_outside_the_sections_list_are_written_too(tmp_path):
  everything = generate(_config(f"{tmp_path}/a/*.gz"), 4)
  features = "train_data.seg_dense_schema.features=[meta.user_id]"
  renamed = "train_data.seg_dense_schema.renamed_features={}"
  narrow = generate(_config(f"{tmp_path}/b/*.gz", features, renamed), 4)
  for left, right in zip(_records(everything), _records(narrow)):
    names = [set(tf.train.Example.FromString(record).features.feature) for record in (left, right)]
    assert names[0] == names[1]


def test_the_probabilities_are_written_along(config):
  generated = generate(config, 3, num_shards=1, kind="planted", write_probabilities=True)
  for record in _records(generated):
    features = tf.train.Example.FromString(record).features.feature
    for task in config.tasks:
      (probability,) = features[f"planted.probability.{task}"].float_list.value
      assert 0 < probability < 1


@pytest.mark.parametrize(
  "output, compression, first, is_gzip",
  [
    ("out/*.gz", None, "out/part-00000-of-00002.gz", True),
    ("out/x-*.tfrecord", None, "out/x-part-00000-of-00002.tfrecord", False),
    ("out/*.tfrecord", "gzip", "out/part-00000-of-00002.tfrecord", True),
    ("out/*.gz", "none", "out/part-00000-of-00002.gz", False),
    ("out/folder", None, "out/folder/part-00000-of-00002.tfrecord.gz", True),
    ("out/folder/", "none", "out/folder/part-00000-of-00002.tfrecord", False),
  ],
)
def test_names_and_compression(tmp_path, config, output, compression, first, is_gzip):
  output = f"{tmp_path}/{output}"
  generated = generate(config, 4, num_shards=2, output=output, compression=compression)
  assert generated.shards[0] == f"{tmp_path}/{first}"
  assert (Path(generated.shards[0]).read_bytes()[:2] == b"\x1f\x8b") == is_gzip
  assert sorted(tf.io.gfile.glob(generated.pattern)) == list(generated.shards)


def test_a_name_without_a_wildcard_holds_one_shard(tmp_path):
  config = _config(f"{tmp_path}/one.gz")
  with pytest.raises(ConfigError, match=r"train_data\.inputs.*one \*.*--num_shards=1"):
    generate(config, 4)
  assert generate(config, 4, num_shards=1).shards == (f"{tmp_path}/one.gz",)
  with pytest.raises(ConfigError, match=r"--output.*one \*"):
    generate(config, 4, output=f"{tmp_path}/two.gz")


@pytest.mark.parametrize("name", ["a/*/b-*.gz", "a/*/b.gz", "a/**.gz", "a/?.gz", "a/[ab]*.gz"])
@pytest.mark.parametrize("given_by", ["--output", "train_data.inputs"])
def test_other_wildcards_ask_for_output(tmp_path, name, given_by):
  pattern = f"{tmp_path}/{name}"
  config = _config(f"{tmp_path}/*.gz" if given_by == "--output" else f"'{pattern}'")
  output = pattern if given_by == "--output" else None
  with pytest.raises(ConfigError, match=rf"^{re.escape(given_by)}: .*--output=PATTERN"):
    output_pattern(config, output)


def test_a_section_without_a_glob_asks_for_output(tmp_path):
  dates = "train_data.explicit_date_inputs={data_root: x, end_date: 2023/03/01, days: 1}"
  config = _config("null", dates)
  with pytest.raises(ConfigError, match=r"train_data\.inputs: found no glob.*--output=PATTERN"):
    generate(config, 4)
  assert generate(config, 4, output=f"{tmp_path}/x").n_examples == 4


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000))
def test_shard_names_sort_in_order(num_shards):
  names = shard_paths("/data/a-*.gz", num_shards)
  assert names == sorted(set(names)) and len(names) == num_shards
  assert names[0] == f"/data/a-part-00000-of-{num_shards:05d}.gz"


def test_files_that_match_are_kept_unless_asked(config, tmp_path):
  folder = tmp_path / "data"
  first = generate(config, N_EXAMPLES, num_shards=2)
  (folder / "other.gz").write_bytes(b"")
  (folder / "notes.txt").write_text("mine")
  digests = _digests(first)
  with pytest.raises(StorageError, match=r"other\.gz.*part-00000-of-00002\.gz.*--overwrite"):
    generate(config, N_EXAMPLES, num_shards=3)
  assert _digests(first) == digests and len(_names(folder)) == 4
  second = generate(config, N_EXAMPLES, num_shards=3, overwrite=True)
  assert len(_records(second)) == N_EXAMPLES
  assert _names(folder) == ["notes.txt", *(f"part-0000{i}-of-00003.gz" for i in range(3))]


def test_many_files_that_match_are_named_in_part(config):
  generate(config, N_EXAMPLES, num_shards=9)
  with pytest.raises(StorageError, match=r"part-00004-of-00009\.gz and 4 more"):
    generate(config, N_EXAMPLES)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_changes_nothing(config, tmp_path, monkeypatch, error):
  digests = _digests(generate(config, 700, num_shards=2))
  serialize = generator.serialize
  calls = []

  def fail_in_the_second_block(columns, features):
    calls.append(columns)
    if len(calls) == 2:
      raise error
    return serialize(columns, features)

  monkeypatch.setattr(generator, "serialize", fail_in_the_second_block)
  with pytest.raises(error):
    generate(config, 700, num_shards=2, seed=1, overwrite=True)
  folder = tmp_path / "data"
  assert _names(folder) == [f"part-0000{i}-of-00002.gz" for i in range(2)]
  assert [hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in _names(folder)] == digests


def test_a_folder_that_cannot_be_made(tmp_path, config):
  (tmp_path / "file").write_text("")
  with pytest.raises(StorageError, match=f"{tmp_path}/file/x/part-00000-of-00004"):
    generate(config, 4, output=f"{tmp_path}/file/x/*.gz")


@pytest.mark.parametrize(
  "arguments, message",
  [
    ({"n_examples": 0}, "--n_examples: found 0, allowed: at least 1"),
    ({"num_shards": 0}, "--num_shards: found 0, allowed: at least 1"),
    ({"n_examples": 3}, "--num_shards: found 4, allowed: at most 3"),
    ({"seed": -1}, "--seed: found -1, allowed: at least 0"),
    ({"teacher_seed": -1}, "--teacher_seed: found -1, allowed: at least 0"),
    ({"kind": "tidy"}, "--kind: found 'tidy', allowed: random, planted"),
    ({"write_probabilities": True}, "--write_probabilities: found with --kind=random"),
  ],
)
def test_arguments_that_cannot_be_used(tmp_path, config, arguments, message):
  with pytest.raises(ConfigError, match=f"^{message}"):
    generate(config, **arguments)
  assert _names(tmp_path / "data") == []
