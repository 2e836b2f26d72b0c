"""Tests of `heavy_ranker.evaluation.partition_reader` with a model made up."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.evaluation.partition_reader import PartitionReader
from tests.heavy_ranker.evaluation.user_run import user_config
from tfrecords.errors import CheckpointError

BAZEL_SIZE = "medium"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("reader")
  user_config(path)
  return path


def open_reader(folder, *overrides):
  config = user_config(folder, *overrides)
  return PartitionReader(config, "validation", config.validation_data["validation"])


def predict(features, probability=0.25, score=1.0):
  size = len(features["continuous"])
  return {
    "probabilities": tf.fill([size, 3], 0.5),
    "calibrated_probabilities": tf.fill([size, 3], probability),
    "score": tf.fill([size], score),
  }


def test_every_record_is_read_once_and_told_of(folder, capsys):
  reader = open_reader(folder, "training.eval_log_every_n=3")
  for _ in range(2):
    meter = reader.read(predict, "step-1")
    meter.flush()
    assert (meter.batches, meter.everything.examples, len(meter.store)) == (8, 120, 120)
    assert reader.is_complete
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 4
  assert lines[0].startswith("evaluating validation: 3 batches, 48 examples, ")


def test_only_so_many_batches_as_are_asked_for_are_taken(folder):
  reader = open_reader(folder, "training.num_eval_steps=7")
  meter = reader.read(predict, "step-1")
  assert (meter.batches, reader.is_complete) == (7, False)


@pytest.mark.parametrize("bad", [{"probability": np.nan}, {"score": np.inf}])
def test_predictions_that_are_not_finite_name_checkpoint_and_partition(folder, bad):
  with pytest.raises(CheckpointError, match=r"^step-1: .*\.validation is not finite"):
    open_reader(folder).read(functools.partial(predict, **bad), "step-1")


def test_each_class_weighs_as_its_sampling_rate_says(folder):
  task = "validation_data.validation.tasks.recap.engagement.is_favorited"
  rates = [f"{task}.neg_downsampling_rate=0.001", f"{task}.pos_downsampling_rate=0.8"]
  meter = open_reader(folder, *rates).read(predict, "step-1")
  assert meter.subject.class_weights[0] == pytest.approx((1000, 1.25))
  assert meter.subject.class_weights[1] == (1, 1)
