"""Baselines from the configuration to JSON, table and report."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from heavy_ranker import make_dataset, train
from heavy_ranker.checkpoints import checkpoints_of, latest_checkpoint
from heavy_ranker.evaluation import baseline_training
from heavy_ranker.evaluation.evaluator import Evaluator, open_partition
from heavy_ranker.evaluation.logistic_regression import logistic_regression_config
from heavy_ranker.evaluation.results_file import results_path
from heavy_ranker.evaluation.table import format_result
from heavy_ranker.training.trainer import Trainer
from tests.heavy_ranker.evaluation.page_parser import Page
from tests.heavy_ranker.evaluation.user_run import user_config
from tests.heavy_ranker.small_run import TASKS
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import ConfigError, DataError

no_report = pytest.mark.usefixtures("without_report")
LINEAR = "evaluation.baselines.logistic_regression={}"
TEACHER = "evaluation.baselines.teacher={probability_prefix: teacher., is_upper_bound: true}"
PRODUCTION = "evaluation.baselines.production={probability_prefix: logged.}"
RATES = f"train_data.tasks.{TASKS[0]}.neg_downsampling_rate=0.25"


def teacher(columns):
  """What the labels of `small_run` are drawn with, [n, tasks]."""
  return 1 / (1 + np.exp(-np.asarray(columns)[:, : len(TASKS)]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run of which the records hold the teacher's probabilities, and those of another model."""
  path = tmp_path_factory.mktemp("baselines")
  config = user_config(path)
  for shard in sorted((path / "data").glob("*.gz")):
    examples = [
      tf.train.Example.FromString(record.numpy())
      for record in tf.data.TFRecordDataset(shard, "GZIP")
    ]
    with tf.io.TFRecordWriter(str(shard), "GZIP") as writer:
      for example in examples:
        known = example.features.feature
        chances = teacher([known["record.continuous"].float_list.value])[0]
        for task, chance in zip(TASKS, chances):
          known[f"teacher.{task}"].float_list.value.append(chance)
          known[f"logged.{task}"].float_list.value.append(0.25)
        writer.write(example.SerializeToString())
  train(config)
  return path


@pytest.fixture
def run(trained, tmp_path):
  """Returns configurations of a copy of that run."""
  shutil.copytree(trained / "run", tmp_path / "run")
  return lambda *overrides: user_config(
    trained, f"training.save_dir={tmp_path / 'run'}", *overrides
  )


@pytest.fixture
def without_report(monkeypatch):
  leave_report_out(monkeypatch)


def tasks_of(result):
  return result["partitions"]["validation"]["tasks"]


def test_both_kinds_are_measured_and_shown(run, tmp_path, capsys):
  config = run(PRODUCTION, LINEAR, TEACHER)
  result = Evaluator(config).run()
  said = capsys.readouterr().out
  assert "logistic_regression: trained for 6 steps on train_data" in said
  assert "logistic_regression: trained in " in said
  continuous, labels = [], []
  for features, label, _ in make_dataset(config.validation_data["validation"], "evaluate"):
    continuous.append(features["continuous"])
    labels.append(np.stack([label[task] for task in TASKS], axis=1))
  best, labels = teacher(np.concatenate(continuous)), np.concatenate(labels)
  for position, (task, found) in enumerate(tasks_of(result).items()):
    assert list(found["baselines"]) == [
      "always_mean",
      "production",
      "logistic_regression",
      "teacher",
    ]
    auroc = sklearn.metrics.roc_auc_score(labels[:, position], best[:, position])
    assert found["baselines"]["teacher"]["auroc"] == pytest.approx(auroc), task
    assert found["baselines"]["production"]["auroc"] == 0.5
    model, of_best = found["metrics"], found["baselines"]["teacher"]
    share = model["relative_cross_entropy"] / of_best["relative_cross_entropy"]
    assert found["achievable_rce_share"] == pytest.approx(share)
    assert list(found["gain"]) == ["production", "logistic_regression", "teacher"]
    for name, gains in found["gain"].items():
      for metric, gain in gains.items():
        assert gain["value"] == pytest.approx(model[metric] - found["baselines"][name][metric])
        assert gain["low"] < gain["value"] < gain["high"]
  lines = format_result(result).splitlines()
  assert "of best RCE" in lines[2]
  (headings,) = [line for line in lines if "logistic_regression: RCE %" in line]
  assert headings.count("model gains") == 3
  stored = json.loads(Path(results_path(str(tmp_path / "run"), 6)).read_text())
  gain = tasks_of(stored)[TASKS[0]]["gain"]["teacher"]["auroc"]
  page = Page((tmp_path / "run" / "evaluation" / "report.html").read_text())
  table = next(table for table in page.tables if "teacher: AUROC" in table[0])
  row = next(row for row in table if row[0] == TASKS[0].rsplit(".")[-1])
  cell = row[table[0].index("teacher: AUROC")].replace("−", "-")
  for value in gain.values():
    assert f"{value:+.4f}" in cell
  assert "share of achievable RCE" in table[0]


@no_report
def test_it_is_trained_once_resumed_and_trained_again_when_the_configuration_changes(
  run, tmp_path, capsys, monkeypatch
):
  folder = tmp_path / "run" / "baselines" / "logistic_regression"

  # Cut off after its checkpoint of step 4.
  with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
    original = Trainer._run_step

    def step_until_cut_off(trainer, step, *rest):
      if step == 6:
        raise KeyboardInterrupt
      original(trainer, step, *rest)

    context.setattr(Trainer, "_run_step", step_until_cut_off)
    Evaluator(run(LINEAR)).run()
  assert latest_checkpoint(str(folder)).endswith("step-4")
  capsys.readouterr()
  first = tasks_of(Evaluator(run(LINEAR)).run())
  assert "training: steps 5 to 6" in capsys.readouterr().out
  assert len(checkpoints_of(str(folder))) == 1
  # Neither what is measured nor what is scored makes another baseline.
  config = run(LINEAR, "training.num_eval_steps=-1", f'score.weights."{TASKS[0]}"=2')
  again = tasks_of(Evaluator(config).run())
  assert "training" not in capsys.readouterr().out
  assert again[TASKS[0]]["baselines"] == first[TASKS[0]]["baselines"]
  slow = "evaluation.logistic_regression.learning_rate.constant=0.0001"
  changed = tasks_of(Evaluator(run(LINEAR, slow)).run())
  said = capsys.readouterr().out
  assert "(optimizer.single_task_learning_rate.constant None -> 0.0001, " in said
  assert f"now lies in {folder}.1" in said
  assert "training: steps 1 to 6" in said
  assert changed[TASKS[0]]["baselines"] != first[TASKS[0]]["baselines"]


@no_report
def test_it_is_linear_and_all_else_is_the_models(run):
  config = run(LINEAR, RATES, "train_data.sampling_correction=calibration")
  own = logistic_regression_config(config)
  assert own.train_data == config.train_data
  assert own.model.featurization_config == config.model.featurization_config
  assert own.training.num_train_steps == config.training.num_train_steps
  cosine = own.optimizer.single_task_learning_rate.linear_ramp_to_cosine
  assert (cosine.num_ramp_steps, cosine.final_num_steps) == (1, 6)
  found = tasks_of(Evaluator(config).run())[TASKS[0]]["baselines"]["logistic_regression"]
  baseline = baseline_training.trained_logistic_regression(config)
  (features, _, _) = next(
    iter(make_dataset(config.validation_data["validation"], "evaluate").unbatch().batch(120))
  )
  both = baseline.predict(features, TASKS), baseline.predict(features, TASKS[1:])
  np.testing.assert_array_equal(both[0][:, 1:], both[1])
  # Sampling is corrected as in the model.
  assert both[0][:, 0].mean() == pytest.approx(found["predicted_click_through_rate"], rel=1e-5)
  uncorrected = run(LINEAR, RATES, "train_data.sampling_correction=calibration", RATES[:-4] + "1.0")
  plain = baseline_training.trained_logistic_regression(uncorrected)
  odds = [p / (1 - p) for p in (both[0][:, 0], plain.predict(features, TASKS)[:, 0])]
  np.testing.assert_allclose(odds[0], odds[1] / 4, rtol=1e-4)


@no_report
def test_without_training_data_a_trained_one_still_serves(run, tmp_path):
  first = tasks_of(Evaluator(run(LINEAR)).run())
  assert not (tmp_path / "run" / "baselines" / "logistic_regression.1").exists()
  untrained = run(LINEAR, "train_data.inputs=/nowhere/*.gz", f"training.save_dir={tmp_path}")
  (tmp_path / "checkpoints").symlink_to(tmp_path / "run" / "checkpoints")
  with pytest.raises(DataError, match="/nowhere"):
    Evaluator(untrained).run()
  assert (
    tasks_of(Evaluator(run(LINEAR)).run())[TASKS[0]]["baselines"] == (first[TASKS[0]]["baselines"])
  )


def test_records_without_the_predictions_are_named_before_anything_is_trained(run, tmp_path):
  config = run(LINEAR, "evaluation.baselines.old={probability_prefix: old.}")
  message = f"record 0: feature 'old.{TASKS[0]}' is missing, which a baseline reads"
  with pytest.raises(DataError, match=message):
    open_partition(config, "validation", config.validation_data["validation"])
  with pytest.raises(DataError, match=message):
    Evaluator(config).run()
  assert not (tmp_path / "run" / "baselines").exists()


@no_report
def test_only_the_tasks_that_are_measured_need_predictions(run, trained):
  only = f"validation_data.validation.evaluation_tasks=[{TASKS[2]}]"
  result = Evaluator(run(LINEAR, TEACHER, only, "which_metrics=[auroc]")).run()
  ((task, found),) = tasks_of(result).items()
  assert task == TASKS[2]
  assert list(found["gain"]["teacher"]) == ["auroc"]
  # Known without being asked for: the share is one number of the task.
  assert math.isfinite(found["achievable_rce_share"])
  assert "of best RCE" in format_result(result)


def test_a_run_of_no_steps_has_no_logistic_regression(run):
  with pytest.raises(ConfigError, match="num_train_steps: found 0, allowed with evaluation.base"):
    Evaluator(run(LINEAR, "training.num_train_steps=0")).run()
