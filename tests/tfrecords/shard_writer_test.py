"""Tests of `tfrecords.shard_writer`: same bytes, all shards or none."""

import itertools
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords import shard_writer
from tfrecords.errors import StorageError
from tfrecords.shard_writer import ShardWriter

ROOT = Path(__file__).parents[2]


def _paths(folder, n, ending=".gz"):
  return [str(folder / f"part-{i:05d}{ending}") for i in range(n)]


def _write(paths, records, compression="GZIP", **options):
  with ShardWriter(paths, len(records), compression, **options) as writer:
    for record in records:
      writer.write(record)


def _read(path, compression="GZIP"):
  return list(tf.data.TFRecordDataset(path, compression).as_numpy_iterator())


def _names(folder):
  return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
def test_reads_back_in_order(tmp_path, compression):
  records = [b"%d" % i * (i + 1) for i in range(11)]
  paths = _paths(tmp_path / "new" / "folder", 3)
  _write(paths, records, compression)
  assert [_read(path, compression) for path in paths] == [records[:3], records[3:7], records[7:]]
  assert len(_names(tmp_path / "new" / "folder")) == 3


@settings(max_examples=20, deadline=None)
@given(n_records=st.integers(1, 12), data=st.data())
def test_every_shard_gets_its_share(n_records, data):
  n_shards = data.draw(st.integers(1, n_records))
  records = [b"%d" % i for i in range(n_records)]
  with tempfile.TemporaryDirectory() as folder:
    paths = _paths(Path(folder), n_shards)
    _write(paths, records, "")
    shards = [_read(path, "") for path in paths]
  assert [record for shard in shards for record in shard] == records
  sizes = [len(shard) for shard in shards]
  assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


def test_same_records_same_bytes_and_no_time_in_the_header(tmp_path):
  for folder in ("a", "b"):
    _write(_paths(tmp_path / folder, 1), [b"x" * 1000])
  written = (tmp_path / "a" / "part-00000.gz").read_bytes()
  assert written == (tmp_path / "b" / "part-00000.gz").read_bytes()
  assert written[:2] == b"\x1f\x8b" and written[4:8] == bytes(4)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("n_written", [0, 1, 5, 9])
def test_an_error_leaves_nothing(tmp_path, error, n_written):
  with pytest.raises(error), ShardWriter(_paths(tmp_path, 3), 9) as writer:
    for _ in range(n_written):
      writer.write(b"record")
    raise error
  assert _names(tmp_path) == []


def test_an_error_leaves_what_was_there(tmp_path):
  paths = _paths(tmp_path, 2)
  _write(paths, [b"old"] * 2)
  with pytest.raises(RuntimeError), ShardWriter(paths, 4, obsolete=paths) as writer:
    for _ in range(4):
      writer.write(b"new")
    raise RuntimeError
  assert [_read(path) for path in paths] == [[b"old"], [b"old"]]
  assert _names(tmp_path) == ["part-00000.gz", "part-00001.gz"]


def test_nothing_has_its_final_name_before_the_end(tmp_path):
  with ShardWriter(_paths(tmp_path, 2), 4) as writer:
    for _ in range(4):
      writer.write(b"record")
      assert not list(tmp_path.glob("*.gz"))
      assert not tf.io.gfile.glob(str(tmp_path / "*.gz"))


def test_obsolete_files_go_once_the_new_ones_are_there(tmp_path):
  _write(_paths(tmp_path, 3), [b"old"] * 3)
  _write(_paths(tmp_path, 1), [b"new"], obsolete=_paths(tmp_path, 3))
  assert _names(tmp_path) == ["part-00000.gz"]
  assert _read(str(tmp_path / "part-00000.gz")) == [b"new"]


def test_a_rename_that_fails_takes_the_others_back(tmp_path, monkeypatch):
  rename = tf.io.gfile.rename

  def fail_at_the_second(source, target, overwrite=False):
    if target.endswith("part-00001.gz"):
      raise tf.errors.ResourceExhaustedError(None, None, "no room")
    rename(source, target, overwrite)

  monkeypatch.setattr(shard_writer.tf.io.gfile, "rename", fail_at_the_second)
  with pytest.raises(StorageError, match=r"part-00001\.gz.*no room"):
    _write(_paths(tmp_path, 3), [b"record"] * 3)
  assert _names(tmp_path) == []


@pytest.mark.parametrize("n_written", [1, 3])
def test_the_wrong_number_of_records(tmp_path, n_written):
  announced = pytest.raises(ValueError, match="announced")
  with announced, ShardWriter(_paths(tmp_path, 1), 2) as writer:
    for _ in range(n_written):
      writer.write(b"record")
  assert _names(tmp_path) == []


@pytest.mark.parametrize("n_shards", [0, 3])
def test_the_wrong_number_of_shards(tmp_path, n_shards):
  with pytest.raises(ValueError, match="shards"):
    ShardWriter(_paths(tmp_path, n_shards), 2)


def test_a_folder_that_is_a_file(tmp_path):
  (tmp_path / "file").write_text("")
  path = str(tmp_path / "file" / "part.gz")
  with pytest.raises(StorageError) as error:
    _write([path], [b"record"])
  assert path in str(error.value) and "not a directory" in str(error.value)
  assert "partial" not in str(error.value)


_WRITE_TOO_MUCH = """
import json, os, resource, signal, sys
from tfrecords.errors import StorageError
from tfrecords.shard_writer import ShardWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
messages = []
for folder, compression, record_bytes in json.loads(sys.argv[1]):
  try:
    with ShardWriter([f"{folder}/{i}" for i in "ab"], 40, compression) as writer:
      for _ in range(40):
        writer.write(os.urandom(record_bytes))
    messages.append("written")
  except StorageError as error:
    messages.append(str(error))
print(json.dumps(messages))
"""


def test_a_full_disk(tmp_path):
  assert resource.RLIMIT_FSIZE is not None
  cases = []
  # 10,000 bytes: a write fails; 5,200: only closing the file does, since buffers hold the rest.
  for record_bytes, compression in itertools.product([10_000, 5_200], ["GZIP", ""]):
    folder = tmp_path / f"{record_bytes}{compression}"
    folder.mkdir()
    cases.append([str(folder), compression, record_bytes])
  result = subprocess.run(
    [sys.executable, "-c", _WRITE_TOO_MUCH, json.dumps(cases)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr
  messages = json.loads(result.stdout)
  assert len(messages) == len(cases)
  for (folder, _, _), message in zip(cases, messages):
    assert message.startswith(f"{folder}/a: cannot be written: ")
    assert "File too large" in message
    assert _names(Path(folder)) == []
