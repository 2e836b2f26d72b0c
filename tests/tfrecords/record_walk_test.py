"""All of a damaged file that can be had: what lies around the damage, and how much it took."""

import gzip
import struct
import zlib

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tfrecords import record_walk
from tfrecords.record_format import masked_crc_32c
from tfrecords.record_walk import Status, walk

RECORDS = [bytes([65 + index]) * (20 + 7 * index) for index in range(6)]
CONTENT = record_files.plain_bytes(RECORDS)
STARTS = [len(record_files.plain_bytes(RECORDS[:count])) for count in range(len(RECORDS) + 1)]

fuzz = settings(
  max_examples=60,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def found_in(tmp_path):
  """Returns a function of a file's content: what a walk finds, side by side."""

  def find(content, compression="", **arguments):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    found = list(walk(str(path), compression, **arguments))
    offset = 0
    for piece in found:
      assert piece.offset == offset
      assert (piece.data is not None) == piece.is_record
      assert bool(piece.reason) == (piece.status is not Status.GOOD)
      offset += piece.length
    if not compression:
      assert offset == len(content)
    return found

  return find


def records(found):
  return [piece.data for piece in found if piece.status is Status.GOOD]


def problems(found):
  return [(piece.status, piece.offset, piece.length) for piece in found if piece.reason]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_a_good_file(found_in, compression):
  found = found_in(record_files.compress(CONTENT, compression), compression)
  assert records(found) == RECORDS
  assert problems(found) == []


def test_no_content(found_in):
  assert found_in(b"") == []


@pytest.mark.parametrize("index", range(len(RECORDS)))
def test_bad_data_costs_one_record(found_in, index):
  found = found_in(record_files.flip(CONTENT, STARTS[index] + 15))
  assert records(found) == RECORDS[:index] + RECORDS[index + 1 :]
  length = STARTS[index + 1] - STARTS[index]
  assert problems(found) == [(Status.BAD_DATA, STARTS[index], length)]
  assert found[index].data[3] == RECORDS[index][3] ^ 1


@pytest.mark.parametrize("place", [0, 5, 7, 8, 11])
@pytest.mark.parametrize("index", [0, 3, 5])
def test_a_bad_header_costs_one_record(found_in, index, place):
  found = found_in(record_files.flip(CONTENT, STARTS[index] + place, bit=6))
  assert records(found) == RECORDS[:index] + RECORDS[index + 1 :]
  length = STARTS[index + 1] - STARTS[index]
  assert problems(found) == [(Status.LOST, STARTS[index], length)]


def test_junk_between_records(found_in):
  junk = b"\0" * 4000 + b"\n" + CONTENT[: STARTS[1] - 1]
  found = found_in(CONTENT[: STARTS[2]] + junk + CONTENT[STARTS[2] :])
  assert records(found) == RECORDS
  assert problems(found) == [(Status.LOST, STARTS[2], len(junk))]


def test_a_file_appended_to_one_that_was_cut_short(found_in):
  found = found_in(CONTENT[: STARTS[3] + 14] + CONTENT)
  assert records(found) == RECORDS[:3] + RECORDS


@pytest.mark.parametrize("rest", [1, 11, 12, 20])
def test_cut_short(found_in, rest):
  found = found_in(CONTENT[: STARTS[4] + rest])
  assert records(found) == RECORDS[:4]
  assert problems(found) == [(Status.CUT_SHORT, STARTS[4], rest)]


def test_a_length_beyond_the_end_does_not_hide_what_follows(found_in):
  length = struct.pack("<Q", 10**6)
  header = length + struct.pack("<I", masked_crc_32c(length))
  found = found_in(CONTENT[: STARTS[1]] + header + CONTENT[STARTS[1] :])
  assert records(found) == RECORDS
  assert problems(found) == [(Status.LOST, STARTS[1], len(header))]


def test_damage_longer_than_what_is_searched_at_once(found_in, monkeypatch):
  monkeypatch.setattr(record_walk, "_SEARCHED_AT_ONCE", 64)
  for size in range(150, 220):
    junk = bytes(range(256))[:size]
    found = found_in(CONTENT[: STARTS[1]] + junk + CONTENT[STARTS[1] :])
    assert records(found) == RECORDS


def test_the_search_is_bounded(found_in):
  junk = bytes(3 << 20)
  found = found_in(CONTENT + junk + CONTENT, max_search_bytes=1 << 20)
  assert records(found) == RECORDS
  assert found[-1].reason == "the search for the next record was given up"


def test_headers_made_to_cost_time_do_not(found_in, monkeypatch):
  read = []

  def counted(data):
    read.append(len(data))
    return masked_crc_32c(data)

  monkeypatch.setattr(record_walk, "masked_crc_32c", counted)
  monkeypatch.setattr(record_walk, "_WASTED_AT_FIRST", 1 << 20)
  length = struct.pack("<Q", 1 << 16)
  header = length + struct.pack("<I", masked_crc_32c(length))
  found = found_in(CONTENT + header * (1 << 14))
  assert records(found) == RECORDS
  assert found[-1].reason == "the search for the next record was given up"
  assert sum(read) < 2 << 20


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_and_cut_short(found_in, compression):
  content = record_files.compress(CONTENT, compression)
  found = found_in(content[:-12], compression)
  count = len(records(found))
  assert count > 0 and records(found) == RECORDS[:count]
  assert found[-1].status is Status.BAD_COMPRESSION
  assert "cut short" in found[-1].reason


def test_all_up_to_the_damage_of_a_gzip_file(found_in):
  # Stored rather than deflated: the damage has a place.
  content = gzip_stored(CONTENT)
  at = content.index(RECORDS[4][:8]) + 3
  found = found_in(record_files.flip(content, at), "GZIP")
  assert records(found) == RECORDS[:4] + RECORDS[5:]
  assert [piece.status for piece in found if piece.reason] == [
    Status.BAD_DATA,
    Status.BAD_COMPRESSION,
  ]
  assert "incorrect data check" in found[-1].reason


def test_a_later_gzip_member_is_found(found_in):
  first, second = gzip.compress(CONTENT, mtime=0), gzip.compress(CONTENT, mtime=0)
  # The first half of the first member, then something that looks like one.
  content = first[: len(first) // 2] + b"\x1f\x8b\x08junk" + second + second
  found = found_in(content, "GZIP")
  assert records(found)[-2 * len(RECORDS) :] == RECORDS + RECORDS
  assert Status.BAD_COMPRESSION in [piece.status for piece in found]
  damaged = record_files.flip(second, 0)
  assert records(found_in(damaged + second, "GZIP")) == RECORDS


def test_records_across_gzip_members(found_in):
  middle = STARTS[3] + 5
  content = gzip.compress(CONTENT[:middle], mtime=0) + gzip.compress(CONTENT[middle:], mtime=0)
  assert records(found_in(content, "GZIP")) == RECORDS


def test_more_than_is_read_at_once(found_in, monkeypatch):
  monkeypatch.setattr("tfrecords.record_stream.READ_BYTES", 100)
  monkeypatch.setattr("tfrecords.record_stream.PIECE_BYTES", 150)
  for compression in ("", "GZIP", "ZLIB"):
    content = record_files.compress(CONTENT, compression)
    assert records(found_in(content, compression)) == RECORDS
  good = gzip.compress(CONTENT, mtime=0)
  found = found_in(good[:-4] + bytes(300) + good, "GZIP")
  assert records(found)[-len(RECORDS) :] == RECORDS


def test_no_file(tmp_path):
  with pytest.raises(tf.errors.NotFoundError):
    list(walk(str(tmp_path / "none")))


@given(data=st.data(), compression=st.sampled_from(["", "GZIP", "ZLIB"]))
@fuzz
def test_any_damage(found_in, data, compression):
  content = record_files.compress(CONTENT, compression)
  for _ in range(data.draw(st.integers(1, 3))):
    position = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(max_size=20))
    end = position + data.draw(st.integers(0, 30))
    content = content[:position] + junk + content[end:] or b"\0"
  found = found_in(content, compression)
  assert set(records(found)) <= set(RECORDS)


@given(st.binary(max_size=400), st.sampled_from(["", "GZIP", "ZLIB"]))
@fuzz
def test_anything_at_all(found_in, content, compression):
  found_in(content, compression)


def gzip_stored(content):
  stream = zlib.compressobj(0, wbits=31)
  return stream.compress(content) + stream.flush()
