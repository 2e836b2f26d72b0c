"""`ignore_data_errors`: what is read, what is left out, and what is said about it."""

import gc
import weakref

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import flat_author_ids, record
from tfrecords import chunk_reader
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline, make_dataset


@pytest.fixture(name="open_pipeline")
def open_pipeline_fixture(tmp_path, monkeypatch):
  monkeypatch.setattr(chunk_reader, "CHUNK_RECORDS", 4)

  def open_pipeline(mode="evaluate", **changes):
    return InputPipeline(
      record_files.data_config(tmp_path, ignore_data_errors=True, **changes), mode
    )

  return open_pipeline


def test_bad_records_are_left_out_one_by_one_and_counted_once(tmp_path, open_pipeline, capsys):
  bad = [b"junk", b"\xff", record(0, is_liked=[2]), record(0, is_replied=None)]
  bad += [record(0, cont_vals=[0.5]), record(0, user__lang=[1])]
  records = [record(0), *bad[:2], record(1), *bad[2:], *map(record, range(2, 7))]
  path = record_files.write_shard(tmp_path / "a.tfrecord", records)
  pipeline = open_pipeline()
  for _ in range(2):
    assert record_files.author_ids(pipeline.dataset) == [[0, 1, 2, 3], [4, 5, 6]]
  assert (pipeline.skipped.num_records, pipeline.skipped.num_files) == (6, 0)
  summary = pipeline.skipped.summary()
  assert summary.startswith(
    "train_data.ignore_data_errors: 6 bad record(s) left out, and 0 file(s)"
  )
  assert f"the first bad record: {path}: record 1: no tf.Example" in summary
  warnings = capsys.readouterr().err
  assert warnings.count("warning: ") == 1
  assert f"{path}: record 1: no tf.Example" in warnings


def test_missing_labels_that_count_as_negatives_are_kept(tmp_path, open_pipeline):
  records = [record(1, is_liked=None), record(2, is_liked=[3])]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  pipeline = open_pipeline(missing_labels="zero")
  assert flat_author_ids(pipeline.dataset) == [1]
  assert pipeline.skipped.num_records == 1


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_a_file_cut_short_gives_what_comes_before(tmp_path, open_pipeline, compression):
  first, _ = record_files.write_shards(tmp_path, [30, 3], compression)
  content = first.read_bytes()
  first.write_bytes(content[: len(content) - 30])
  pipeline = open_pipeline()
  found = flat_author_ids(pipeline.dataset)
  count = len(found) - 3
  assert found == [*range(count), 30, 31, 32]
  assert count >= 27
  assert (pipeline.skipped.num_records, pipeline.skipped.num_files) == (0, 1)
  summary = pipeline.skipped.summary()
  assert f"the first bad file: {first}: " in summary
  assert "cut short or damaged" in summary


def test_a_cut_in_a_header_is_noticed(tmp_path, open_pipeline):
  path = tmp_path / "a.tfrecord"
  path.write_bytes(record_files.plain_bytes([record(0)]) + b"\x07\0\0")
  pipeline = open_pipeline()
  assert flat_author_ids(pipeline.dataset) == [0]
  assert f"{path}: the TFRecord file is cut short" in pipeline.skipped.summary()


def test_files_without_any_record_are_left_out(tmp_path, open_pipeline):
  record_files.write_shards(tmp_path, [5])
  (tmp_path / "empty.tfrecord").write_bytes(b"")
  (tmp_path / "text.tfrecord").write_bytes(b"no records at all")
  pipeline = open_pipeline()
  assert flat_author_ids(pipeline.dataset) == list(range(5))
  assert pipeline.skipped.num_files == 2
  assert "empty.tfrecord: the file is empty" in pipeline.skipped.summary()


def test_a_file_that_vanishes_is_left_out(tmp_path, open_pipeline):
  first, _ = record_files.write_shards(tmp_path, [5, 2])
  pipeline = open_pipeline()
  first.unlink()
  assert flat_author_ids(pipeline.dataset) == [5, 6]
  assert f"{first}: the file has vanished" in pipeline.skipped.summary()


def test_training_goes_on_and_has_full_batches(tmp_path, open_pipeline):
  records = [b"bad" if index % 3 == 0 else record(index) for index in range(12)]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  pipeline = open_pipeline("train")
  found = record_files.author_ids(pipeline.dataset.take(6))
  assert [len(batch) for batch in found] == [4] * 6
  assert sorted(sum(found, [])) == sorted(3 * [1, 2, 4, 5, 7, 8, 10, 11])
  assert pipeline.skipped.num_records == 4


@pytest.mark.parametrize("content", [b"", b"junk", record_files.plain_bytes([b"bad"] * 9)])
def test_nothing_left_is_an_error(tmp_path, open_pipeline, content):
  (tmp_path / "a.tfrecord").write_bytes(content)
  with pytest.raises(DataError, match="train_data: nothing that can be used .*a.tfrecord"):
    open_pipeline("train")


def test_fewer_good_records_than_a_batch_is_an_error(tmp_path, open_pipeline):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(0), b"bad", record(1), b"bad"])
  with pytest.raises(DataError, match="global_batch_size: found 4, allowed: at most 2"):
    open_pipeline("train")


def test_a_cache_alone_explains_damage(tmp_path):
  (path,) = record_files.write_shards(tmp_path, [6])
  pipeline = InputPipeline(record_files.data_config(tmp_path, cache=True), "evaluate")
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(DataError, match=f"{path}: record 5: the file is cut short"):
    record_files.read_eagerly(pipeline)


def test_a_cache_alone_explains_bad_records(tmp_path):
  path = record_files.write_shard(tmp_path / "a.tfrecord", [record(0), b"bad"])
  pipeline = InputPipeline(record_files.data_config(tmp_path, cache=True), "evaluate")
  with pytest.raises(DataError, match=f"{path}: record 1: no tf.Example"):
    record_files.read_in_function(pipeline)


def test_cached_records_are_read_once(tmp_path):
  paths = record_files.write_shards(tmp_path, [5, 4])
  pipeline = InputPipeline(record_files.data_config(tmp_path, cache=True), "evaluate")
  cut_short = list(pipeline.dataset.take(1))
  assert record_files.flat_author_ids(cut_short) == [0, 1, 2, 3]
  assert flat_author_ids(pipeline.dataset) == list(range(9))
  for path in paths:
    path.unlink()
  assert flat_author_ids(pipeline.dataset) == list(range(9))


def test_cached_records_are_shuffled_anew_each_epoch(tmp_path):
  record_files.write_shards(tmp_path, [12])
  config = record_files.data_config(tmp_path, cache=True, examples_shuffle_buffer_size=12)
  found = flat_author_ids(InputPipeline(config, "train").dataset.take(9))
  epochs = [tuple(found[:12]), tuple(found[12:24]), tuple(found[24:])]
  assert len(set(epochs)) == 3
  assert all(sorted(epoch) == list(range(12)) for epoch in epochs)


def test_a_dataset_alone_keeps_what_it_reads_with_and_nothing_else_does(tmp_path):
  record_files.write_shards(tmp_path, [3])
  dataset = make_dataset(record_files.data_config(tmp_path, cache=True), "evaluate")
  reader = weakref.ref(dataset.records)
  dataset = dataset.take(9)
  gc.collect()
  assert flat_author_ids(dataset) == [0, 1, 2]
  del dataset
  gc.collect()
  assert reader() is None


CONTENT = record_files.plain_bytes(list(map(record, range(30))))
STARTS = [len(record_files.plain_bytes(list(map(record, range(count))))) for count in range(31)]
# Content of a file of 30 records, by what is wrong with it; which are lost; counts in the end.
DAMAGES = {
  "data": (record_files.flip(CONTENT, STARTS[7] + 20), [7], (1, 0)),
  "length": (record_files.flip(CONTENT, STARTS[7] + 2), [7], (0, STARTS[8] - STARTS[7])),
  "first header": (record_files.flip(CONTENT, 1), [0], (0, STARTS[1])),
  "both": (
    record_files.flip(record_files.flip(CONTENT, STARTS[3] + 2), STARTS[20] + 30),
    [3, 20],
    (1, STARTS[4] - STARTS[3]),
  ),
  "cut and continued": (CONTENT[: STARTS[9] + 30] + CONTENT[STARTS[10] :], [9], (0, 30)),
  "last": (record_files.flip(CONTENT, len(CONTENT) - 1), [29], (1, 0)),
  "cut": (CONTENT[:-1], [29], (0, STARTS[30] - STARTS[29] - 1)),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_only_what_is_damaged_is_left_out(tmp_path, open_pipeline, damage):
  content, lost, counts = DAMAGES[damage]
  path = tmp_path / "a.tfrecord"
  path.write_bytes(content)
  pipeline = open_pipeline()
  for _ in range(2):
    assert flat_author_ids(pipeline.dataset) == [x for x in range(30) if x not in lost]
  skipped = pipeline.skipped
  assert (skipped.num_records, skipped.num_lost_bytes, skipped.num_files) == (*counts, 1)
  assert f"the first bad file: {path}: record {lost[0]}: the file is cut short or damaged" in (
    skipped.summary()
  )


@pytest.mark.parametrize("damage", sorted(DAMAGES))
@pytest.mark.parametrize("taken", [1, 3, 5])
def test_a_position_in_a_damaged_file_can_be_restored(tmp_path, open_pipeline, damage, taken):
  (tmp_path / "a.tfrecord").write_bytes(DAMAGES[damage][0])
  iterator = iter(open_pipeline().dataset)
  for _ in range(taken):
    next(iterator)
  path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
  expected = [batch[0]["meta__author_id"].numpy().tolist() for batch in iterator]
  again = iter(open_pipeline().dataset)
  tf.train.Checkpoint(iterator=again).read(path).assert_consumed()
  assert [batch[0]["meta__author_id"].numpy().tolist() for batch in again] == expected


def test_a_later_gzip_member_is_read(tmp_path, open_pipeline):
  first, second = (
    record_files.compress(record_files.plain_bytes(list(map(record, numbers))), "GZIP")
    for numbers in (range(30), range(30, 40))
  )
  (tmp_path / "a.tfrecord").write_bytes(first[: len(first) // 2] + second)
  pipeline = open_pipeline()
  found = flat_author_ids(pipeline.dataset)
  assert found[-10:] == list(range(30, 40))
  assert found[:-10] == list(range(len(found) - 10))
  assert len(found) > 12
  assert pipeline.skipped.num_files == 1
  (tmp_path / "a.tfrecord").write_bytes(b"\0" + first[1:] + second)
  assert flat_author_ids(open_pipeline().dataset) == list(range(30, 40))


def test_prediction_leaves_bad_records_out_too(tmp_path):
  records = [record(0), record(1, cont_vals=[1.0]), record(2)]
  record_files.write_shard(tmp_path / "part-0.tfrecord", records)
  config = record_files.data_config(tmp_path, ignore_data_errors=True)
  pipeline = InputPipeline(config, "predict")
  assert record_files.read_eagerly(pipeline) == [0, 2]
  assert pipeline.skipped.num_records == 1
