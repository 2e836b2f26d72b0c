"""Probabilities in the records: read beside the model's inputs, refused where they are none."""

import numpy as np
import pytest

from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.recorded_probabilities import probability_features

TASKS = ("is_liked", "is_replied")
LIKED, REPLIED = "teacher__is_liked", "teacher__is_replied"


def open_pipeline(folder, features=("continuous",), prefix="teacher.", schema=None, **changes):
  config = record_files.data_config(folder, schema, **changes)
  recorded = probability_features(prefix, TASKS)
  return InputPipeline(config, "evaluate", features, TASKS, "train_data", recorded)


def with_probabilities(index, liked, replied):
  return record(index, **{LIKED: liked, REPLIED: replied})


def test_they_come_with_the_features_and_keep_their_value(tmp_path):
  values = [(0.0, 1.0), (0.1, 0.2), (1.0, 1e-30)]
  records = [with_probabilities(i, [a], [b]) for i, (a, b) in enumerate(values)]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  ((features, _, _),) = open_pipeline(tmp_path).dataset
  assert list(features) == ["continuous", "teacher.is_liked", "teacher.is_replied"]
  found = np.concatenate([features["teacher.is_liked"], features["teacher.is_replied"]], axis=1)
  np.testing.assert_array_equal(found, np.array(values, np.float32))


@pytest.mark.parametrize(
  ("liked", "problem"),
  [
    (None, "is missing, which a baseline reads. Write the file again with it"),
    ([float("nan")], "is nan, allowed: a probability in"),
    ([1.5], "is 1.5, allowed: a probability in"),
    ([-0.25], "is -0.25, allowed: a probability in"),
    ([0.5, 0.5], "holds 2 value"),
    ([1], "holds int64_list, allowed: float_list"),
  ],
)
def test_what_is_no_probability_names_record_and_feature(tmp_path, liked, problem):
  records = [with_probabilities(0, [0.5], [0.5]), with_probabilities(1, liked, [0.5])]
  path = record_files.write_shard(tmp_path / "a.tfrecord", records)
  pipeline = open_pipeline(tmp_path)
  expected = pytest.raises(DataError, match=f"feature 'teacher.is_liked' ({problem})")
  with expected as error, pipeline.explained():
    list(pipeline.dataset)
  assert str(error.value).startswith(f"{path}: record 1: ")


def test_bad_ones_are_left_out_with_ignore_data_errors(tmp_path):
  liked = [[0.5], None, [2.0], [0.25]]
  records = [with_probabilities(i, value, [0.5]) for i, value in enumerate(liked)]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  pipeline = open_pipeline(tmp_path, ignore_data_errors=True)
  ((features, _, _),) = pipeline.dataset
  assert features["teacher.is_liked"].numpy().tolist() == [[0.5], [0.25]]
  assert pipeline.skipped.num_records == 2
  assert "record 1: feature 'teacher.is_liked' is missing" in pipeline.skipped.summary()


def test_a_schema_may_list_them_as_long_as_the_model_reads_others(tmp_path):
  names = [f"teacher.{task}" for task in TASKS]
  entries = [{"feature_name": name, "dtype": "float_list", "length": 1} for name in names]
  record_files.write_schema(tmp_path, record_files.SCHEMA + entries)
  record_files.write_shard(tmp_path / "a.tfrecord", [with_probabilities(0, [0.5], [0.25])])
  renamed = {"continuous": "cont_vals", "score": names[1]}
  schema = {"features": None, "renamed_features": renamed}
  ((features, _, _),) = open_pipeline(tmp_path, schema=schema).dataset
  assert features["teacher.is_replied"].numpy().tolist() == [[0.25]]
  with pytest.raises(ConfigError, match="train_data: 'teacher.is_replied' is read as a recorded"):
    open_pipeline(tmp_path, ("continuous", "score"), schema=schema)
