"""Files damaged at random are read as they were, or refused with a DataError; nothing else."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline

IDS = list(range(6))
RECORDS = [record_files.record(index) for index in IDS]
CONTENT = {
  compression: record_files.compress(record_files.plain_bytes(RECORDS), compression)
  for compression in ("", "GZIP", "ZLIB")
}
ENDS = [len(record_files.plain_bytes(RECORDS[:count])) for count in range(1, len(RECORDS))]

compressions = st.sampled_from(sorted(CONTENT))
junk = st.one_of(
  st.binary(min_size=1, max_size=40),
  st.sampled_from([b"\0" * 12, b"\0" * 512, b"\n", b"\x1f\x8b\x08\0", *CONTENT.values()]),
)
fuzz = settings(
  max_examples=12,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read(folder, content):
  """Returns the author ids, or None when the file is refused with a good message."""
  path = folder / "part-0.tfrecord"
  path.write_bytes(content)
  try:
    config = record_files.data_config(folder)
    return record_files.read_eagerly(InputPipeline(config, "evaluate", ["meta__author_id"]))
  except DataError as error:
    assert str(error).startswith(f"{path}: ")
    assert "again" in str(error)
    return None


@pytest.mark.parametrize("compression", sorted(CONTENT))
def test_undamaged(tmp_path, compression):
  assert read(tmp_path, CONTENT[compression]) == IDS


@given(compression=compressions, data=st.data())
@fuzz
def test_cut(tmp_path, compression, data):
  content = CONTENT[compression]
  size = data.draw(st.integers(0, len(content) - 1))
  found = read(tmp_path, content[:size])
  if compression == "" and size in ENDS:  # Nothing tells such a file from a whole one.
    assert found == IDS[: len(found)]
  else:
    assert found is None


@given(compression=compressions, data=st.data())
@fuzz
def test_flipped(tmp_path, compression, data):
  content = CONTENT[compression]
  flips = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7))
  for position, bit in data.draw(st.lists(flips, min_size=1, max_size=3)):
    content = record_files.flip(content, position, bit)
  assert read(tmp_path, content) in (None, IDS)


@given(compression=compressions, junk=junk)
@fuzz
def test_appended(tmp_path, compression, junk):
  found = read(tmp_path, CONTENT[compression] + junk)
  # A second stream of records is as good as the first.
  assert found in (None, IDS, IDS + IDS)


@given(compression=compressions, junk=junk, data=st.data())
@fuzz
def test_inserted(tmp_path, compression, junk, data):
  content = CONTENT[compression]
  position = data.draw(st.integers(0, len(content)))
  found = read(tmp_path, content[:position] + junk + content[position:])
  assert found is None or found in (IDS, IDS + IDS)


@given(content=st.binary(max_size=300))
@fuzz
def test_anything_at_all(tmp_path, content):
  assert read(tmp_path, content) is None


@given(serialized=st.binary(min_size=1, max_size=60), position=st.integers(0, 6))
@fuzz
def test_any_bytes_as_a_record(tmp_path, serialized, position):
  records = [*RECORDS[:position], serialized, *RECORDS[position:]]
  assert read(tmp_path, record_files.plain_bytes(records)) is None


@given(data=st.data())
@fuzz
def test_a_damaged_record_with_a_matching_checksum(tmp_path, data):
  serialized = RECORDS[3]
  position = data.draw(st.integers(0, len(serialized) - 1))
  changed = record_files.flip(serialized, position, data.draw(st.integers(0, 7)))
  found = read(tmp_path, record_files.plain_bytes([*RECORDS[:3], changed]))
  assert found is None or found[:3] == IDS[:3]


@given(compression=compressions, data=st.data())
@fuzz
def test_damage_beside_a_good_file_costs_only_itself(tmp_path, compression, data):
  (tmp_path / "part-1.tfrecord").write_bytes(CONTENT["GZIP"])
  content = CONTENT[compression]
  for _ in range(data.draw(st.integers(1, 2))):
    position = data.draw(st.integers(0, len(content) - 1))
    content = data.draw(
      st.sampled_from(
        [
          content[: max(position, 1)],
          record_files.flip(content, position, position % 8),
          content[:position] + b"\0junk" + content[position:],
        ]
      )
    )
  (tmp_path / "part-0.tfrecord").write_bytes(content)
  config = record_files.data_config(tmp_path, ignore_data_errors=True)
  pipeline = InputPipeline(config, "evaluate", ["meta__author_id"])
  found = record_files.read_eagerly(pipeline)
  assert found[-len(IDS) :] == IDS
  before = found[: -len(IDS)]
  assert before == sorted(set(before) & set(IDS))
  if len(before) < len(IDS) and not (compression == "" and len(content) in [0, *ENDS]):
    assert pipeline.skipped.summary()
