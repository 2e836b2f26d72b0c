"""Tests of `tfrecords.worker_share`, and of pipelines that read a share."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.worker_share import WHOLE, WorkerShare

SHARDS = [5, 4, 6, 3, 6]


def pipelines(folder, count, **changes):
  config = record_files.data_config(folder, **{"global_batch_size": 2 * count, **changes})
  return [InputPipeline(config, "train", share=WorkerShare(i, count)) for i in range(count)]


def an_epoch(pipeline):
  return sum(record_files.author_ids(pipeline.dataset), [])


def test_files_are_dealt_out():
  shares = [WorkerShare(index, 3) for index in range(3)]
  assert [share.of_files("abcdefg") for share in shares] == [list("adg"), list("be"), list("cf")]
  assert [share.of_records("abcdefg") for share in shares] == [WHOLE] * 3


def test_records_are_dealt_out_where_files_are_too_few():
  share = WorkerShare(1, 3)
  assert share.of_files("ab") == ["a", "b"]
  assert share.of_records("ab") == share


@pytest.mark.parametrize("count", [2, 3, 7], ids=["files", "uneven files", "records"])
def test_together_the_workers_read_every_record_once(count, tmp_path):
  record_files.write_shards(tmp_path, SHARDS)
  # One example a batch a worker: nothing is left over at the end.
  everybody = pipelines(tmp_path, count, repeat_files=False, global_batch_size=count)
  assert sorted(sum(map(an_epoch, everybody), [])) == list(range(sum(SHARDS)))


def test_a_worker_reads_its_part_of_the_global_batch(tmp_path):
  record_files.write_shards(tmp_path, SHARDS)
  for pipeline in pipelines(tmp_path, 3):
    assert len(pipeline.all_shards) == len(SHARDS)
    assert {len(batch) for batch in record_files.author_ids(pipeline.dataset.take(9))} == {2}


@pytest.mark.parametrize("count", [2, 7], ids=["files", "records"])
def test_a_position_in_a_share_can_be_saved(count, tmp_path):
  record_files.write_shards(tmp_path, SHARDS)
  pipeline = pipelines(tmp_path, count)[1]
  iterator = iter(pipeline.dataset)
  next(iterator)
  path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
  expected = [next(iterator)[0]["meta__author_id"].numpy().tolist() for _ in range(9)]
  resumed = iter(pipeline.dataset)
  tf.train.Checkpoint(iterator=resumed).read(path)
  assert [next(resumed)[0]["meta__author_id"].numpy().tolist() for _ in range(9)] == expected


def test_a_batch_the_workers_do_not_divide_is_refused(tmp_path):
  record_files.write_shards(tmp_path, SHARDS)
  with pytest.raises(ConfigError, match="global_batch_size: found 8, allowed: a multiple of 3"):
    pipelines(tmp_path, 3, global_batch_size=8)


def test_a_share_that_fills_no_batch_is_refused(tmp_path):
  record_files.write_shards(tmp_path, [2])
  message = r"found 8, allowed: at most 4, .* 1 file\(s\) of .*that this worker reads, times 4"
  with pytest.raises(DataError, match=message):
    pipelines(tmp_path, 4)
