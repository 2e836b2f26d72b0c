"""Tests of `tfrecords.shards`."""

import os

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.errors import ConfigError, DataError
from tfrecords.shards import Shard, find_shards


def complaint(pattern, **options):
  with pytest.raises(DataError) as caught:
    find_shards(str(pattern), "train_data.inputs", **options)
  return str(caught.value)


def names(shards):
  return [os.path.basename(shard.path) for shard in shards]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
@pytest.mark.parametrize("name", ["part.gz", "part.zlib", "part", "part.tfrecord"])
def test_content_decides_not_the_name(tmp_path, name, compression):
  path = record_files.write_shard(tmp_path / name, [record_files.record(0)], compression)
  assert find_shards(str(tmp_path / "part*"), "key") == [Shard(str(path), compression)]


def test_sorted_by_name(tmp_path):
  for name in ("b", "c", "a", "a1"):
    record_files.write_shard(tmp_path / name, [record_files.record(0)])
  assert names(find_shards(str(tmp_path / "*"), "key")) == ["a", "a1", "b", "c"]
  assert names(find_shards(str(tmp_path / "*"), "key", num_files_to_keep=2)) == ["a", "a1"]
  assert len(find_shards(str(tmp_path / "*"), "key", num_files_to_keep=9)) == 4


def test_files_left_out_are_not_opened(tmp_path):
  record_files.write_shard(tmp_path / "a", [record_files.record(0)])
  (tmp_path / "b").write_bytes(b"")
  assert names(find_shards(str(tmp_path / "*"), "key", num_files_to_keep=1)) == ["a"]


def test_folders_and_hidden_files_are_left_out(tmp_path):
  record_files.write_shard(tmp_path / "a", [record_files.record(0)])
  (tmp_path / "b").mkdir()
  (tmp_path / ".a.1234.partial").write_bytes(b"half a shard")
  assert names(find_shards(str(tmp_path / "*"), "key")) == ["a"]


def test_a_hidden_file_can_be_asked_for(tmp_path):
  record_files.write_shard(tmp_path / ".a", [record_files.record(0)])
  assert names(find_shards(str(tmp_path / ".a*"), "key")) == [".a"]


def test_relative_to_the_caller(tmp_path, monkeypatch):
  record_files.write_shard(tmp_path / "a", [record_files.record(0)])
  monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
  assert find_shards("*", "key") == [Shard(str(tmp_path / "a"), "")]


def test_no_file_matches(tmp_path):
  message = complaint(tmp_path / "*.gz")
  assert message.startswith("train_data.inputs: no file matches ")
  assert str(tmp_path / "*.gz") in message
  assert "--set train_data.inputs=GLOB" in message
  assert "//tfrecords:generate" in message


def test_only_hidden_files(tmp_path):
  (tmp_path / ".a.1234.partial").write_bytes(b"half a shard")
  assert "no file matches" in complaint(tmp_path / "*")


def test_a_folder_instead_of_files(tmp_path):
  message = complaint(tmp_path)
  assert f"only folders match {str(tmp_path)!r}" in message
  assert f"--set train_data.inputs={tmp_path}/*.gz" in message


def test_a_link_that_leads_nowhere(tmp_path):
  (tmp_path / "a").symlink_to(tmp_path / "nowhere")
  message = complaint(tmp_path / "*")
  assert message.startswith(f"{tmp_path / 'a'}: cannot be read: ")


def test_a_file_that_cannot_be_opened(tmp_path):
  (tmp_path / "a").symlink_to("a")
  message = complaint(tmp_path / "*")
  assert message.startswith(f"{tmp_path / 'a'}: cannot be read: ")
  assert message.endswith("remove it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
  path = record_files.write_shard(tmp_path / "a", [record_files.record(0)])
  path.chmod(0)
  assert f"{path}: cannot be read: " in complaint(tmp_path / "*")


def test_a_file_system_that_cannot_list(monkeypatch):
  def fail(pattern):
    raise tf.errors.UnavailableError(None, None, "no network")

  monkeypatch.setattr(tf.io.gfile, "glob", fail)
  assert complaint("gs://bucket/*").endswith("'gs://bucket/*' cannot be listed: no network")


def test_an_unset_variable():
  with pytest.raises(ConfigError, match="train_data.inputs: .*NO_SUCH_PLACE, which is not set"):
    find_shards("${NO_SUCH_PLACE}/*.gz", "train_data.inputs")


def test_the_first_bad_file_is_named(tmp_path):
  record_files.write_shard(tmp_path / "a", [record_files.record(0)])
  (tmp_path / "b").write_bytes(b"")
  (tmp_path / "c").write_bytes(b"some text, no records")
  assert complaint(tmp_path / "*").startswith(f"{tmp_path / 'b'}: the file is empty")


def test_a_large_compressed_file_is_not_read_as_a_whole(tmp_path):
  records = [os.urandom(1000) for _ in range(400)]
  path = record_files.write_shard(tmp_path / "a", records, "GZIP")
  path.write_bytes(path.read_bytes()[:-1000])
  assert find_shards(str(path), "key") == [Shard(str(path), "GZIP")]
