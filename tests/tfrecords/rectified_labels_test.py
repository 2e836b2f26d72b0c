"""Tests of `tfrecords.rectified_labels`, and of pipelines that rectify labels."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords.config.data import RectifyLabels
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.parsing import MISSING_LABEL
from tfrecords.rectified_labels import LabelRectifier

WINDOW = 3 * 3600 * 1000
SERVED = 1_675_000_000_000
TIMESTAMPS = ("served", "impressed", "liked_at")
SECTION = {
  "served_timestamp_field": "served",
  "impressed_timestamp_field": "impressed",
  "label_to_engaged_timestamp_field": {"is_liked": "liked_at"},
}
ENTRIES = [
  *record_files.SCHEMA,
  *({"feature_name": name, "dtype": "int64_list", "length": 1} for name in TIMESTAMPS),
]


def rectify(labels, impressed, engaged, **changes):
  section = validate(RectifyLabels, {**SECTION, **changes}, "test")
  columns = {
    "is_liked": labels,
    "served": [SERVED] * len(labels),
    "impressed": [SERVED + delay for delay in impressed],
    "liked_at": [SERVED + delay for delay in engaged],
  }
  batch = {name: tf.constant(values, tf.int64)[:, None] for name, values in columns.items()}
  return LabelRectifier(section, "key")(batch)["is_liked"].numpy()[:, 0].tolist()


def test_both_have_to_come_before_the_window_ends():
  impressed = [0, WINDOW - 1, WINDOW, 0, WINDOW]
  engaged = [0, WINDOW - 1, 0, WINDOW, WINDOW]
  assert rectify([1] * 5, impressed, engaged) == [1, 1, 0, 0, 0]
  assert rectify([0] * 5, impressed, engaged) == [0] * 5


def test_an_engagement_before_serving_or_without_timestamp_is_not_late():
  assert rectify([1, 1], [-WINDOW, 0], [0, -SERVED]) == [1, 1]


def test_what_is_no_label_is_left_for_the_check():
  assert rectify([MISSING_LABEL, 9], [WINDOW] * 2, [0] * 2) == [MISSING_LABEL, 9]


@pytest.mark.parametrize("hours, window", [(0.1, 360_000), (1 / 3, 1_200_000), (48, 172_800_000)])
def test_other_windows(hours, window):
  labels = rectify([1, 1], [0, 0], [window - 1, window], label_rectification_window_in_hours=hours)
  assert labels == [1, 0]


def test_without_a_section_or_labels_nothing_happens():
  batch = {"is_liked": tf.constant([[1]])}
  assert LabelRectifier(None, "key")(batch) == batch
  assert LabelRectifier(validate(RectifyLabels, SECTION, "test"), "key")({}) == {}


def test_only_timestamps_of_the_labels_in_use_are_needed():
  rectifier = LabelRectifier(validate(RectifyLabels, SECTION, "test"), "key")
  assert rectifier.timestamps(["is_replied"]) == []
  assert rectifier.timestamps(["is_replied", "is_liked"]) == list(TIMESTAMPS)


@pytest.fixture(name="make")
def make_fixture(tmp_path):
  """Builds a pipeline of two records, the second of which was liked too late."""

  def times(served, impressed, liked):
    return {"served": [served], "impressed": [impressed], "liked_at": [liked]}

  records = [
    record(1, **times(SERVED, SERVED + 5, SERVED + 9)),
    record(3, **times(SERVED, SERVED + 5, SERVED + WINDOW)),
  ]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  record_files.write_schema(tmp_path, ENTRIES)

  def make(mode="evaluate", features=None, tasks=None, fields=TIMESTAMPS, **changes):
    schema = {"features": list(fields)}
    section = {"rectify_labels": {**SECTION, **changes}}
    config = record_files.data_config(tmp_path, schema, preprocess=section, global_batch_size=2)
    return InputPipeline(config, mode, features, tasks)

  return make


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_a_pipeline_weights_by_the_rectified_label(make, mode):
  ((features, labels, weights),) = make(mode, ["meta__author_id"]).dataset.take(1)
  assert set(features) == {"meta__author_id"}
  order = np.argsort(features["meta__author_id"][:, 0])
  assert labels["is_liked"].numpy()[order].tolist() == [1, 0]
  assert weights["is_liked"].numpy()[order].tolist() == [2, 4]
  assert labels["is_replied"].numpy()[order].tolist() == [0, 1]


def test_timestamps_are_features_too_when_asked_for(make):
  ((features, _, _),) = make("evaluate", ["liked_at"]).dataset
  assert features["liked_at"].numpy().tolist() == [[SERVED + 9], [SERVED + WINDOW]]


def test_without_the_label_the_timestamps_are_not_parsed(tmp_path, make):
  broken = record(1, served=[0.5])
  record_files.write_shard(tmp_path / "a.tfrecord", [broken])
  for options in ({"tasks": ["is_replied"]}, {"mode": "predict"}):
    assert len(list(make(features=["binary"], **options).dataset)) == 1
  pipeline = make(features=["binary"])
  expected = pytest.raises(DataError, match="record 0: feature 'served' holds float_list")
  with expected, pipeline.explained():
    list(pipeline.dataset)


def complaint(make, **options):
  with pytest.raises(ConfigError) as caught:
    make(**options)
  message = str(caught.value)
  assert message.startswith("train_data.preprocess.rectify_labels")
  return message


def test_a_timestamp_that_is_not_read(make):
  message = complaint(make, fields=TIMESTAMPS[:2])
  assert "the timestamp 'liked_at' is needed and missing" in message
  assert "'sewed' is needed and missing, did you mean 'served'?" in complaint(
    make, served_timestamp_field="sewed"
  )


def test_a_timestamp_that_is_none(make):
  message = complaint(make, impressed_timestamp_field="binary")
  assert (
    "'binary' is int64_list of length 3 in the schema, allowed: int64_list of length" in message
  )
  assert "is float_list" in complaint(make, impressed_timestamp_field="continuous")


def test_a_label_that_is_no_task(make):
  message = complaint(make, label_to_engaged_timestamp_field={"is_licked": "liked_at"})
  assert "label_to_engaged_timestamp_field.is_licked: found no such task, did you mean" in message


@pytest.mark.parametrize("hours", [0, -1, float("inf"), float("nan"), 1e30])
def test_windows_that_are_none(hours):
  with pytest.raises(ConfigError, match="label_rectification_window_in_hours: found"):
    validate(RectifyLabels, {**SECTION, "label_rectification_window_in_hours": hours}, "test")
