"""Tests of `tfrecords.paths`."""

import os
import sys

import pytest

from tfrecords import paths
from tfrecords.errors import ConfigError


def test_a_relative_path_means_the_current_folder(monkeypatch, tmp_path):
  monkeypatch.delenv("BUILD_WORKING_DIRECTORY", raising=False)
  monkeypatch.chdir(tmp_path)
  assert paths.resolve("data/*.gz", "key") == str(tmp_path / "data" / "*.gz")


def test_under_bazel_it_means_the_callers_folder(monkeypatch, tmp_path):
  monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
  assert paths.caller_directory() == str(tmp_path)
  assert paths.resolve("../x", "key") == str(tmp_path.parent / "x")


def test_an_absolute_path_stays(tmp_path):
  assert paths.resolve(str(tmp_path / "x"), "key") == str(tmp_path / "x")


def test_home(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  assert paths.resolve("~/x", "key") == str(tmp_path / "x")


@pytest.mark.parametrize("path", ["${NO_SUCH_PLACE}/x", "/a/$NO_SUCH_PLACE/x"])
def test_a_variable_that_is_not_set(path):
  with pytest.raises(ConfigError) as caught:
    paths.resolve(path, "train_data.inputs")
  message = str(caught.value)
  assert message.startswith("train_data.inputs: ")
  assert path in message
  assert "environment variable NO_SUCH_PLACE" in message
  assert "--set train_data.inputs=PATH" in message


@pytest.mark.parametrize("path", ["gs://bucket/*.gz", "file:///data/*.gz"])
def test_what_tensorflow_itself_can_open_stays(path):
  assert paths.resolve(path, "key") == path


@pytest.mark.parametrize("scheme", ["s3", "http", "https", "az", "hdfs"])
def test_other_remote_paths_register_their_file_system(monkeypatch, scheme):
  monkeypatch.setitem(sys.modules, "tensorflow_io", object())
  assert paths.resolve(f"{scheme}://place/x", "key") == f"{scheme}://place/x"
  monkeypatch.setitem(sys.modules, "tensorflow_io", None)
  with pytest.raises(ImportError):
    paths.resolve(f"{scheme}://place/x", "key")


def test_the_packages_folder():
  assert os.path.isfile(os.path.join(paths.package_root(), "tfrecords", "paths.py"))


def test_the_checkout(monkeypatch, tmp_path):
  monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
  assert paths.workspace_directory() == paths.package_root()
  monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
  assert paths.workspace_directory() == str(tmp_path)


def test_a_nul_character_is_refused():
  with pytest.raises(ConfigError, match=r"--x: found 'a\\x00b', allowed: a path without a NUL"):
    paths.resolve("a\0b", "--x")
