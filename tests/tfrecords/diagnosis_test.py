"""Tests of `tfrecords.diagnosis`: every way of failing goes through the real pipeline."""

import glob
import os
import resource

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import flip, record
from tfrecords.diagnosis import Explained
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline

GOOD = record_files.plain_bytes([record(index) for index in range(10)])
RECORD_BYTES = len(record_files.plain_bytes([record(0)]))
LAST_RECORD_BYTES = len(record_files.plain_bytes([record(9)]))


def make_pipeline(folder, mode="evaluate", **changes):
  return InputPipeline(record_files.data_config(folder, **changes), mode, key="validation_data.all")


def complaint(pipeline):
  """Reads a pipeline in both ways and returns the message, which has to be the same."""
  with pytest.raises(DataError) as in_loop:
    record_files.read_eagerly(pipeline)
  with pytest.raises(DataError) as in_function:
    record_files.read_in_function(pipeline)
  assert str(in_loop.value) == str(in_function.value)
  assert in_loop.value.__suppress_context__
  return str(in_loop.value)


def read_content(folder, content):
  (folder / "part-0.tfrecord").write_bytes(content)
  return complaint(make_pipeline(folder))


@pytest.mark.parametrize(
  "position, number",
  [
    (20, 0),
    (RECORD_BYTES - 1, 0),
    (RECORD_BYTES, 1),
    (RECORD_BYTES + 7, 1),
    (RECORD_BYTES + 8, 1),
    (-1, 9),
  ],
  ids=["data", "data checksum", "length", "high byte of length", "length checksum", "last byte"],
)
def test_a_flipped_bit(tmp_path, position, number):
  message = read_content(tmp_path, flip(GOOD, position, 6))
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record {number}: ")
  assert "cut short or damaged (corrupted record at " in message
  assert (
    f"the {number} record(s) before it can be read. Write the file again or remove it" in message
  )


@pytest.mark.parametrize(
  "size, number",
  [
    (12, 0),
    (RECORD_BYTES - 1, 0),
    (RECORD_BYTES + 12, 1),
    (len(GOOD) - LAST_RECORD_BYTES + 12, 9),
    (len(GOOD) - 1, 9),
  ],
)
def test_a_plain_file_cut_short(tmp_path, size, number):
  message = read_content(tmp_path, GOOD[:size])
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record {number}: ")
  assert "cut short or damaged (truncated record at " in message


def large_file(compression):
  """A compressed file that is too large to be checked before reading."""
  noise = [record(index, spare=None, user__lang=[os.urandom(40_000)]) for index in range(10)]
  return record_files.compress(record_files.plain_bytes(noise), compression)


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_large_compressed_file_cut_short(tmp_path, compression):
  message = read_content(tmp_path, large_file(compression)[:-60_000])
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record 8: ")
  assert "the 8 record(s) before it can be read" in message


def test_a_large_compressed_file_damaged(tmp_path):
  content = large_file("GZIP")
  message = read_content(tmp_path, content[:300_000] + bytes(100) + content[300_100:])
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record ")
  assert "cut short or damaged" in message


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
def test_a_damaged_length_eats_no_memory(tmp_path, compression):
  content = record_files.compress(flip(GOOD, RECORD_BYTES + 6, 7), compression)
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  message = read_content(tmp_path, content)
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record 1: ")
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


@pytest.mark.parametrize(
  "serialized",
  [
    b"no example",
    b"\x00",
    b"\xff\xfe\x00" * 50,
    b"\n\xc3\x28abc",
    b"record#0:0 it's, Name: x, Key: y, [bad label]",
    record(2)[:-1],
  ],
  ids=range(6),
)
def test_a_record_that_is_no_example(tmp_path, serialized):
  records = [record(0), record(1), serialized, record(3), b"another"]
  message = read_content(tmp_path, record_files.plain_bytes(records))
  assert message == (
    f"{tmp_path}/part-0.tfrecord: record 2: no tf.Example; write the file again or remove it"
  )


def test_a_feature_of_an_unknown_kind(tmp_path):
  strange = record(2).replace(b"\n\tcont_vals\x12\x18\x12", b"\n\tcont_vals\x12\x18\x22")
  assert strange != record(2)
  message = read_content(tmp_path, record_files.plain_bytes([record(0), record(1), strange]))
  assert message == (
    f"{tmp_path}/part-0.tfrecord: record 2: no tf.Example; write the file again or remove it"
  )


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"cont_vals": [1, 2, 3, 4, 5]}, "feature 'cont_vals' holds int64_list, allowed: float_list."),
    ({"cont_vals": [1.0, 2.0]}, "feature 'cont_vals' holds 2 value(s), allowed: 5."),
    ({"cont_vals": [1.0] * 6}, "feature 'cont_vals' holds 6 value(s), allowed: 5."),
    ({"binary_vals": [0.5] * 3}, "feature 'binary_vals' holds float_list, allowed: int64_list."),
    ({"binary_vals": []}, "feature 'binary_vals' holds 0 value(s), allowed: 3."),
    ({"user__topics": [b"x"]}, "feature 'user.topics' holds bytes_list, allowed: int64_list."),
    ({"user__lang": [b"x", b"y"]}, "feature 'user.lang' holds 2 value(s), allowed: 1."),
    ({"is_liked": [0.5]}, "label 'is_liked' holds float_list, allowed: int64_list."),
    ({"is_liked": [0, 1]}, "label 'is_liked' holds 2 value(s), allowed: 1."),
    ({"is_liked": []}, "label 'is_liked' holds 0 value(s), allowed: 1."),
    ({"is_liked": [2]}, "label 'is_liked' is 2, allowed: 0 or 1."),
    ({"is_replied": [-1]}, "label 'is_replied' is -1, allowed: 0 or 1."),
    (
      {"is_replied": None},
      "label 'is_replied' is missing. Write the file again with it, or let missing labels count as "
      "negatives with --set validation_data.all.missing_labels=zero",
    ),
  ],
)
def test_a_record_unlike_the_schema(tmp_path, changes, words):
  record_files.write_shards(tmp_path, [3])
  records = [record(0), record(1), record(2, **changes), record(3)]
  record_files.write_shard(tmp_path / "part-1.tfrecord", records, "GZIP")
  message = complaint(make_pipeline(tmp_path))
  assert message.startswith(f"{tmp_path}/part-1.tfrecord: record 2: {words}")
  assert "Write the file again" in message


def test_a_label_that_may_be_missing_is_not_blamed(tmp_path):
  bad = record(1, is_liked=None, is_replied=[3])
  record_files.write_shard(tmp_path / "a.tfrecord", [record(0), bad])
  message = complaint(make_pipeline(tmp_path, missing_labels="zero"))
  assert message.startswith(f"{tmp_path}/a.tfrecord: record 1: label 'is_replied' is 3, allowed")


def test_an_empty_record_lacks_its_labels(tmp_path):
  message = read_content(tmp_path, record_files.plain_bytes([record(0), b""]))
  assert "part-0.tfrecord: record 1: label 'is_liked' is missing" in message


@pytest.mark.parametrize("changes", [{"is_liked": [7]}, {"cont_vals": [1.0]}, {"is_liked": None}])
def test_paths_are_shown_as_they_are(tmp_path, changes):
  folder = tmp_path / "a, b] 'c\" [d: record 7 é \\n"
  folder.mkdir()
  record_files.write_shard(folder / "x", [record(0), record(1, **changes)])
  pipeline = make_pipeline(folder, inputs=f"{glob.escape(str(folder)).replace(chr(92), '?')}/x")
  assert complaint(pipeline).startswith(f"{folder}/x: record 1: ")


@pytest.mark.parametrize("remove_folder", [False, True])
def test_a_file_that_vanishes(tmp_path, remove_folder):
  (tmp_path / "data").mkdir()
  paths = record_files.write_shards(tmp_path / "data", [5, 5])
  pipeline = make_pipeline(tmp_path, inputs=str(tmp_path / "data" / "part*"))
  paths[1].unlink()
  if remove_folder:
    paths[0].unlink()
    paths[0].parent.rmdir()
  message = complaint(pipeline)
  assert message.startswith(f"{paths[0 if remove_folder else 1]}: the file has vanished; ")
  assert "start again without it" in message


def test_a_file_that_turns_into_a_folder(tmp_path):
  (path,) = record_files.write_shards(tmp_path, [5])
  pipeline = make_pipeline(tmp_path)
  path.unlink()
  path.mkdir()
  message = complaint(pipeline)
  assert message.startswith(f"{path}: ")


def test_a_file_that_shrinks(tmp_path):
  (path,) = record_files.write_shards(tmp_path, [5])
  pipeline = make_pipeline(tmp_path)
  path.write_bytes(path.read_bytes()[:-5])
  assert complaint(pipeline).startswith(f"{path}: record 4: the file is cut short")


def test_the_way_training_reads(tmp_path):
  records = [record(index) for index in range(9)]
  record_files.write_shard(tmp_path / "a.tfrecord", [*records, record(9, is_liked=[5])])
  record_files.write_shards(tmp_path, [4, 4])
  pipeline = make_pipeline(tmp_path, "train", examples_shuffle_buffer_size=50)
  message = complaint(pipeline)
  assert message.startswith(f"{tmp_path}/a.tfrecord: record 9: label 'is_liked' is 5")


def test_a_bad_record_before_a_damaged_one(tmp_path):
  content = record_files.plain_bytes([record(0), b"no example", record(2), record(3), record(4)])
  message = read_content(tmp_path, content[:-2])
  assert message.startswith(f"{tmp_path}/part-0.tfrecord: record ")


def test_a_second_bad_file_is_no_trouble(tmp_path):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(index) for index in range(6)])
  (tmp_path / "b.tfrecord").write_bytes(record_files.plain_bytes([record(0), b"no example"]))
  (tmp_path / "c.tfrecord").write_bytes(GOOD[:-1])
  message = complaint(make_pipeline(tmp_path))
  assert message.startswith(f"{tmp_path}/b.tfrecord: record 1: no tf.Example")


def test_a_bad_record_behind_good_ones_of_its_block_and_before_a_bad_file(tmp_path):
  _, second, third = record_files.write_shards(tmp_path, [100, 300, 5])
  records = [record(index, is_liked=[5 if index == 250 else 0]) for index in range(100, 400)]
  record_files.write_shard(second, records)
  record_files.write_shard(third, [record(0, is_liked=[7])])
  config = record_files.data_config(tmp_path, global_batch_size=64)
  # Without a feature of variable length: then files are read in blocks, the next one ahead.
  pipeline = InputPipeline(config, "evaluate", ["meta__author_id"])
  for _ in range(2):
    found = []
    with pytest.raises(DataError) as caught, pipeline.explained():
      for batch in pipeline.dataset:
        found += record_files.flat_author_ids([batch])
    assert str(caught.value).startswith(f"{second}: record 150: label 'is_liked' is 5")
    # All whole batches before its block of 128 records.
    assert found == list(range(192))


def test_a_file_mended_in_the_meantime(tmp_path):
  (path,) = record_files.write_shards(tmp_path, [5])
  pipeline = make_pipeline(tmp_path)
  message = "validation_data.all: reading failed (corrupted), but every file can be read now"
  with pytest.raises(DataError) as caught, pipeline.explained():
    raise tf.errors.DataLossError(None, None, "corrupted")
  assert str(caught.value).startswith(message)
  record_files.write_shard(path, [record(0)])
  with pytest.raises(DataError, match=f"{path}: record 4: "), pipeline.explained():
    raise tf.errors.InvalidArgumentError(None, None, "something about record#0:4 is odd")


@pytest.mark.parametrize(
  "error",
  [
    tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [3] vs. [4]"),
    tf.errors.NotFoundError(None, None, "no such checkpoint"),
    tf.errors.OutOfRangeError(None, None, "End of sequence"),
    tf.errors.ResourceExhaustedError(None, None, "disk full"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ValueError("a defect"),
    KeyboardInterrupt(),
  ],
  ids=lambda error: type(error).__name__,
)
def test_other_errors_pass(tmp_path, error):
  record_files.write_shards(tmp_path, [5])
  pipeline = make_pipeline(tmp_path)
  with pytest.raises(type(error)) as caught, pipeline.explained():
    raise error
  assert caught.value is error


def test_nothing_is_opened_unless_something_fails():
  with Explained([None], {}):
    pass
