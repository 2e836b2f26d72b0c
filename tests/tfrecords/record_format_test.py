"""Tests of `tfrecords.record_format`."""

import gzip
import zlib

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tfrecords import record_format
from tfrecords.errors import DataError

PLAIN = record_files.plain_bytes([record_files.record(index) for index in range(9)])


def complaint(content, is_whole=True):
  with pytest.raises(DataError) as caught:
    record_format.compression_of(content, "/data/part-0", is_whole)
  message = str(caught.value)
  assert message.startswith("/data/part-0: ")
  assert "write it again" in message.lower()
  return message


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
@pytest.mark.parametrize("is_whole", [True, False])
def test_compression_is_recognised(compression, is_whole):
  content = record_files.compress(PLAIN, compression)
  assert record_format.compression_of(content, "x", is_whole) == compression


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
def test_as_tensorflow_writes_it(tmp_path, compression):
  options = tf.io.TFRecordOptions(compression_type=compression)
  with tf.io.TFRecordWriter(str(tmp_path / "x"), options) as writer:
    writer.write(record_files.record(0))
  content = (tmp_path / "x").read_bytes()
  assert record_format.compression_of(content, "x", True) == compression


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_the_beginning_of_a_large_file_is_enough(compression):
  content = record_files.compress(PLAIN, compression)
  assert record_format.compression_of(content[: len(content) // 2], "x", False) == compression


def test_the_length_of_a_record_may_look_like_gzips_first_bytes():
  content = record_files.plain_bytes([bytes(35615)])
  assert content[:2] == gzip.compress(b"")[:2]
  assert record_format.compression_of(content, "x", True) == ""


def test_several_gzip_streams_in_one_file():
  content = record_files.compress(PLAIN, "GZIP")
  assert record_format.compression_of(content + content, "x", True) == "GZIP"
  assert "cut short" in complaint(content + content[:-1])


def test_a_stream_that_ends_in_one_long_run():
  content = gzip.compress(record_files.plain_bytes([bytes(5_000_000)]))
  assert record_format.compression_of(content, "x", True) == "GZIP"


def test_empty():
  assert "empty (0 bytes)" in complaint(b"")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_no_record(compress):
  assert "holds no record" in complaint(compress(b""))


@pytest.mark.parametrize("n_bytes", range(1, 12))
def test_a_cut_in_a_header_is_found(n_bytes):
  one = record_files.plain_bytes([record_files.record(0)])
  assert "TFRecord file is cut short or damaged" in complaint(one + one[:n_bytes])
  assert record_format.compression_of(one + one[:n_bytes], "x", False) == ""


def test_other_cuts_of_a_plain_file_are_left_to_tensorflow():
  for size in (12, 100, len(PLAIN) - 4, len(PLAIN) - 1):
    assert record_format.compression_of(PLAIN[:size], "x", True) == ""


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_cut_of_a_compressed_file_is_found(compression, data):
  content = record_files.compress(PLAIN, compression)
  size = data.draw(st.integers(1, len(content) - 1))
  message = complaint(content[:size])
  if compression == "GZIP" and size > 1:
    assert "gzip file is cut short or damaged" in message


@given(position=st.integers(10, len(gzip.compress(PLAIN)) - 1), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_any_damage_of_a_gzip_stream_is_found(position, bit):
  complaint(record_files.flip(record_files.compress(PLAIN, "GZIP"), position, bit))


@pytest.mark.parametrize(
  "content",
  [
    b"user,item,label\n1,2,0\n",
    b"x^2 + y^2 = 1\n",
    b"\x00" * 100,
    PLAIN[:11],
    gzip.compress(b"user,item,label\n1,2,0\n"),
    zlib.compress(b"short"),
    gzip.compress(b"short"),
  ],
)
def test_something_else(content):
  message = complaint(content)
  assert "no TFRecord file" in message
  assert content[:12].hex() in message


@pytest.mark.parametrize("position", range(12))
def test_a_damaged_first_header_is_noticed(position):
  assert "damaged in its first bytes" in complaint(record_files.flip(PLAIN, position, 3))


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(range(256))])
def test_checksum_is_that_of_tensorflow(tmp_path, data):
  with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
    writer.write(data)
  checksum = (tmp_path / "x").read_bytes()[-4:]
  assert record_format.masked_crc_32c(data).to_bytes(4, "little") == checksum
