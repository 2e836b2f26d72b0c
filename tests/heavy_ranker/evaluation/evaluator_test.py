"""Evaluation of a checkpoint on the partitions of `validation_data`."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, evaluate, make_dataset, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from heavy_ranker.evaluation import metrics
from heavy_ranker.evaluation.evaluator import results_path
from heavy_ranker.evaluation.table import format_metrics
from tests.heavy_ranker.small_run import TASKS, small_config
from tfrecords.errors import CheckpointError, ConfigError, DataError

BAZEL_SIZE = "large"
_RATES = f"validation_data.validation.tasks.{TASKS[0]}.neg_downsampling_rate=0.25"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("evaluation")
  train(small_config(path))
  return path


def test_equals_metrics_of_the_restored_model_on_every_record(folder):
  config = small_config(folder, _RATES)
  results = evaluate(config)["validation"]
  ranker = build_model(config)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  partition = config.validation_data["validation"]
  batches = list(make_dataset(partition, "evaluate"))
  assert sum(len(labels[TASKS[0]]) for _, labels, _ in batches) == 120
  for position, task in enumerate(TASKS):
    columns = [
      (ranker(features)["probabilities"][:, position], labels[task], weights[task])
      for features, labels, weights in batches
    ]
    expected = metrics.evaluate_task(*(np.concatenate(column) for column in zip(*columns)))
    assert results[task] == pytest.approx(expected, rel=1e-5)
  assert results[TASKS[0]]["examples"] == 120
  rate = results[TASKS[0]]["positives"] / 120
  assert results[TASKS[0]]["click_through_rate"] == pytest.approx(rate / (rate + 4 * (1 - rate)))


def test_num_eval_steps_bounds_what_is_read(folder):
  results = evaluate(small_config(folder, "training.num_eval_steps=2"))
  assert results["validation"][TASKS[0]]["examples"] == 32


def test_evaluation_tasks_bound_what_is_measured(folder):
  overrides = [f"validation_data.validation.evaluation_tasks=[{TASKS[1]}]"]
  assert list(evaluate(small_config(folder, *overrides))["validation"]) == [TASKS[1]]


def test_result_lies_beside_the_checkpoint_as_json(folder):
  results = evaluate(small_config(folder))
  stored = json.loads(Path(results_path(str(folder / "run"), 6)).read_text())
  assert stored["validation"].keys() == results["validation"].keys()
  assert stored["validation"][TASKS[0]]["auroc"] == results["validation"][TASKS[0]]["auroc"]


def test_a_metric_without_a_value_is_null_in_json_and_a_dash_in_the_table(folder):
  # The first record only: one class is missing.
  overrides = ["training.num_eval_steps=1", "validation_data.validation.global_batch_size=1"]
  results = evaluate(small_config(folder, *overrides))
  stored = json.loads(Path(results_path(str(folder / "run"), 6)).read_text())
  assert stored["validation"][TASKS[0]]["auroc"] is None
  assert " - " in format_metrics(results)


def test_without_a_checkpoint_the_way_out_is_named(folder, tmp_path):
  with pytest.raises(CheckpointError, match="no checkpoint found. Train first"):
    evaluate(small_config(folder, f"training.save_dir={tmp_path}"))


def test_a_checkpoint_that_does_not_exist_is_named(folder):
  with pytest.raises(CheckpointError, match="step-99: no checkpoint"):
    evaluate(small_config(folder), str(folder / "run" / "checkpoints" / "step-99"))


def test_bad_data_is_counted_and_nothing_else_is_an_error(folder, tmp_path, capsys):
  (source,) = folder.glob("data/part-0.gz")
  content = source.read_bytes()
  (tmp_path / "part-0.gz").write_bytes(content[:-500])
  section = f"validation_data.validation.inputs={tmp_path}/*.gz"
  ignore = "validation_data.validation.ignore_data_errors=true"
  evaluate(small_config(folder, section, ignore))
  assert "0 bad record(s) left out, and 1 file(s)" in capsys.readouterr().out
  with tf.io.TFRecordWriter(str(tmp_path / "part-0.gz"), "GZIP") as writer:
    writer.write(b"no example")
  with pytest.raises(DataError, match="nothing that can be used was found. .* 1 bad record"):
    evaluate(small_config(folder, section, ignore))


def test_reading_nothing_is_an_error(folder):
  with pytest.raises(ConfigError, match="training.num_eval_steps: found 0, allowed: at least 1"):
    evaluate(small_config(folder, "training.num_eval_steps=0"))
