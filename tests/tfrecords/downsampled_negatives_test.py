"""Tests of `tfrecords.downsampled_negatives`, and of pipelines that downsample negatives."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords.config.data import DownsampleNegatives
from tfrecords.config.strict_model import validate
from tfrecords.downsampled_negatives import NegativeDownsampler
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline


def section(multiplier=3, *labels):
  return {
    "batch_multiplier": multiplier,
    "engagements_list": list(labels or ["is_liked"]),
    "num_engagements": 2,
  }


def rows(labels, size):
  downsampler = NegativeDownsampler(validate(DownsampleNegatives, section(), "test"), "key")
  batch = {"is_liked": tf.constant(labels, tf.int64)[:, None]}
  return [tensor.numpy().tolist() for tensor in downsampler.rows(batch, size)]


@pytest.mark.parametrize(
  "labels, size, expected",
  [
    ([0, 0, 1, 0, 0, 0], 2, [[2, 0], [1, 5]]),
    ([0, 0, 0, 0, 0, 0], 2, [[0, 1], [3, 3]]),
    ([1, 0, 1, 0, 0, 0], 2, [[0, 2], [1, 1]]),
    ([1, 1, 1, 0, 0, 1], 2, [[0, 1], [1, 1]]),
    ([tf.int64.min, 0, 9, 1], 2, [[3, 0], [1, 3]]),
    ([0, 1], 2, [[1, 0], [1, 1]]),
  ],
)
def test_positives_come_first_and_negatives_weigh_more(labels, size, expected):
  assert rows(labels, size) == expected


@pytest.fixture(name="make")
def make_fixture(tmp_path):
  """Builds a pipeline of twelve records, of which 4 and 9 were liked and 9 was replied to."""
  records = [
    record(index, is_liked=[int(index in (4, 9))], is_replied=[int(index == 9)])
    for index in range(12)
  ]
  record_files.write_shard(tmp_path / "a.tfrecord", records)

  def make(mode, downsample, **changes):
    tasks = changes.pop("use_tasks", None)
    changes = {"preprocess": {"downsample_negatives": downsample}, "repeat_files": False, **changes}
    config = record_files.data_config(tmp_path, **changes)
    return InputPipeline(config, mode, tasks=tasks)

  return make


def test_a_training_batch(make):
  batches = list(make("train", section()).dataset)
  assert record_files.author_ids(batches) == [[4, 9, 0, 1]]
  ((features, labels, weights),) = batches
  assert labels["is_liked"].numpy().tolist() == [1, 1, 0, 0]
  assert weights["is_liked"].numpy().tolist() == [2, 2, 4 * 5, 4 * 5]
  assert weights["is_replied"].numpy().tolist() == [8, 1, 8 * 5, 8 * 5]
  assert features["user.topics"].to_list() == [[0], [], [], [0]]
  assert features["continuous"].shape == (4, 5)


def test_calibration_does_not_undo_it(make):
  ((_, _, weights),) = make("train", section(), sampling_correction="calibration").dataset
  assert weights["is_liked"].numpy().tolist() == [1, 1, 5, 5]


def test_an_engagement_need_not_be_a_task_of_the_model(make):
  ((_, labels, weights),) = make("train", section(3, "is_replied"), use_tasks=["is_liked"]).dataset
  assert labels["is_liked"].numpy().tolist() == [1, 0, 0, 0]
  assert set(weights) == {"is_liked"}


def test_evaluation_reads_everything(make):
  dataset = make("evaluate", section()).dataset
  assert record_files.flat_author_ids(dataset) == list(range(12))


def test_static_shapes(make):
  spec, _, _ = make("train", section()).dataset.element_spec
  assert spec["continuous"].shape.as_list() == [4, 5]


def test_a_missing_label_is_explained(tmp_path, make):
  bad = record(5, is_liked=[1], is_replied=None)
  records = [record(0, is_liked=[0])] * 11 + [bad]
  pipeline = make("train", section())
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  with pytest.raises(DataError, match="record 11: label 'is_replied' is missing"):
    record_files.read_in_function(pipeline)


def test_too_few_records(make):
  with pytest.raises(DataError) as caught:
    make("train", section(4))
  assert "global_batch_size: found 4, allowed: at most 3, which is a 4th (batch_m" in str(
    caught.value
  )


def test_an_engagement_that_is_no_task(make):
  with pytest.raises(ConfigError) as caught:
    make("train", section(2, "is_likd"))
  message = str(caught.value)
  assert message.startswith("train_data.preprocess.downsample_negatives.engagements_list: ")
  assert "did you mean 'is_liked'?" in message


def test_no_engagement_at_all():
  with pytest.raises(ConfigError, match="engagements_list: found"):
    validate(DownsampleNegatives, {**section(), "engagements_list": []}, "test")
