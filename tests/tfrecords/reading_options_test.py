"""Options of reading in any combination: what an epoch holds, and continuing from a checkpoint."""

import itertools
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tests.tfrecords.record_files import author_ids, flat_author_ids, record
from tfrecords import chunk_reader
from tfrecords.config.sampler import SamplerConfig
from tfrecords.input_pipeline import InputPipeline
from tfrecords.sampler import Sampler

BAZEL_SIZE = "large"

BAD_RECORDS = (
  b"no example",
  b"\xff\xfe\x00",
  record(900, is_liked=[2]),
  record(901, is_liked=None),
  record(902, cont_vals=[1.0]),
  record(903, user__lang=[7]),
)
SAMPLERS = (
  None,
  {"name": "share", "kwargs": {"rate": 0.6, "seed": 2}},
  {"name": "negatives", "kwargs": {"rate": 0.4, "engagements_list": ["is_replied"]}},
)
options = st.fixed_dictionaries(
  {
    "cache": st.booleans(),
    "file_batch_size": st.sampled_from([None, 1, 2, 5]),
    "interleave_num_parallel_calls": st.sampled_from([None, 1, 3]),
    "examples_shuffle_buffer_size": st.sampled_from([0, 4, 50]),
    "sampler": st.sampled_from(SAMPLERS),
  }
)


@pytest.fixture(autouse=True)
def _several_chunks_a_file(monkeypatch):
  monkeypatch.setattr(chunk_reader, "CHUNK_RECORDS", 3)


def write_files(folder, sizes, bad, compression, is_cut):
  """Writes shards; returns (id, file's name, position) of good records, and how many are bad."""
  found, first, n_bad = [], 0, 0
  for number, size in enumerate(sizes):
    records = [record(first + index) for index in range(size)]
    for position, content in bad:
      records.insert(position % (len(records) + 1), content)
    path = record_files.write_shard(folder / f"part-{number}.tfrecord", records, compression)
    if is_cut and number == 0:
      path.write_bytes(path.read_bytes()[:-3])
      del records[-1]
    rows = [row for row, content in enumerate(records) if content not in BAD_RECORDS]
    n_bad += len(records) - len(rows)
    found += [(first + place, path.name, row) for place, row in enumerate(rows)]
    first += size
  return found, n_bad


def expected_ids(good, sampler):
  if sampler is None or not good:
    return sorted(index for index, _, _ in good)
  indices, names, positions = zip(*good)
  config = SamplerConfig(**sampler)
  drawn = Sampler(config, "sampler").is_drawn(tf.constant(names), tf.constant(positions, tf.int64))
  positive = [config.name == "negatives" and index % 4 == 3 for index in indices]
  return sorted(itertools.compress(indices, [a or b for a, b in zip(drawn.numpy(), positive)]))


@given(
  options=options,
  sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
  bad=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(BAD_RECORDS)), max_size=3),
  compression=st.sampled_from(["", "GZIP"]),
  is_cut=st.booleans(),
  data=st.data(),
)
@settings(
  max_examples=8,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_an_epoch_holds_what_it_should(options, sizes, bad, compression, is_cut, data):
  with tempfile.TemporaryDirectory() as folder:
    is_cut = is_cut and compression == ""
    good, n_bad = write_files(Path(folder), sizes, bad, compression, is_cut)
    expected = expected_ids(good, options["sampler"])
    assume(expected)
    config = record_files.data_config(
      folder,
      global_batch_size=data.draw(st.integers(1, len(expected))),
      ignore_data_errors=bool(bad) or is_cut,
      **options,
    )
    training = InputPipeline(config, "train")
    count = -(-2 * len(expected) // config.global_batch_size)
    ids = flat_author_ids(training.dataset.take(count))
    assert sorted(ids[: len(expected)]) == expected
    assert sorted(ids[len(expected) : 2 * len(expected)]) == expected
    evaluation = InputPipeline(config, "evaluate")
    for _ in range(2):
      assert flat_author_ids(evaluation.dataset) == expected
    if config.ignore_data_errors:
      assert (evaluation.skipped.num_records, evaluation.skipped.num_files) == (n_bad, is_cut)


COMBINATIONS = [
  {"ignore_data_errors": True},
  {"cache": True},
  {"file_batch_size": 2},
  {"sampler": SAMPLERS[2]},
  {
    "ignore_data_errors": True,
    "cache": True,
    "file_batch_size": 2,
    "sampler": SAMPLERS[1],
    "examples_shuffle_buffer_size": 0,
  },
]


@pytest.mark.parametrize("changes", COMBINATIONS, ids=lambda changes: "+".join(changes))
def test_reading_continues_from_a_checkpoint(tmp_path, changes):
  (tmp_path / "data").mkdir()
  bad = [(2, BAD_RECORDS[0]), (6, BAD_RECORDS[3])] if "ignore_data_errors" in changes else []
  write_files(tmp_path / "data", [9, 4, 8], bad, "GZIP", False)
  every = {"inputs": str(tmp_path / "data" / "*"), "examples_shuffle_buffer_size": 6, **changes}

  def open_iterator():
    return iter(InputPipeline(record_files.data_config(tmp_path, **every), "train").dataset)

  uninterrupted = author_ids(itertools.islice(open_iterator(), 16))
  iterator = open_iterator()
  checkpoint = tf.train.Checkpoint(iterator=iterator)
  for position in range(12):
    if position in (1, 5, 11):
      path = checkpoint.save(str(tmp_path / "checkpoint"))
      resumed = open_iterator()
      tf.train.Checkpoint(iterator=resumed).restore(path).expect_partial()
      assert author_ids(itertools.islice(resumed, 16 - position)) == uninterrupted[position:]
    assert author_ids([next(iterator)]) == [uninterrupted[position]]


def test_a_checkpoint_does_not_hold_the_cache(tmp_path):
  (tmp_path / "data").mkdir()
  records = [record(index, user__lang=[bytes(20_000)]) for index in range(60)]
  record_files.write_shard(tmp_path / "data" / "a", records)
  config = record_files.data_config(
    tmp_path, inputs=str(tmp_path / "data" / "*"), cache=True, map_num_parallel_calls=1
  )
  pipeline = InputPipeline(config, "train", ["meta__author_id"])
  iterator = iter(pipeline.dataset)
  for _ in range(40):
    next(iterator)
  path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "checkpoint"))
  size = sum(file.stat().st_size for file in tmp_path.glob("checkpoint-1*"))
  assert path
  assert size < 600_000
