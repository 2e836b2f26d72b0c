"""Tests of `heavy_ranker.serving.unfinished_exports`."""

import os

import pytest

from heavy_ranker.serving.unfinished_exports import remove_abandoned, writing


def _write(folder):
  os.makedirs(os.path.join(folder, "variables"))


def test_what_is_renamed_stays_and_nothing_else(tmp_path):
  with writing(str(tmp_path)) as folder:
    _write(folder)
    os.rename(folder, tmp_path / "1")
  assert os.listdir(tmp_path) == ["1"]


def test_an_error_leaves_nothing(tmp_path):
  with pytest.raises(ValueError, match="x"), writing(str(tmp_path)) as folder:
    _write(folder)
    raise ValueError("x")
  assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path):
  (tmp_path / ".unfinished-1" / "variables").mkdir(parents=True)
  (tmp_path / ".unfinished-1.lock").touch()
  (tmp_path / "3").mkdir()
  with writing(str(tmp_path)) as folder:
    _write(folder)
    remove_abandoned(str(tmp_path))
    name = os.path.basename(folder)
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"{name}.lock", "3"])
  assert os.listdir(tmp_path) == ["3"]


def test_remote_folders_are_left_alone():
  remove_abandoned("s3://bucket/exports")
