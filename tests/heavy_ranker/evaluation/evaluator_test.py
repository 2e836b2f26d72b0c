"""Evaluation of a checkpoint on the partitions of `validation_data`."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from heavy_ranker import build_model, evaluate, make_dataset, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from heavy_ranker.config.evaluation import TASK_METRICS
from heavy_ranker.evaluation import metrics
from heavy_ranker.evaluation.baselines import Baseline
from heavy_ranker.evaluation.evaluator import Evaluator, open_partition
from heavy_ranker.evaluation.report import report_path, write_report
from heavy_ranker.evaluation.results_file import read_result, results_path
from heavy_ranker.evaluation.table import format_result
from tests.heavy_ranker.evaluation import user_run
from tests.heavy_ranker.evaluation.user_run import user_config
from tests.heavy_ranker.small_run import TASKS, small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import CheckpointError, ConfigError, DataError

_RATES = f"validation_data.validation.tasks.{TASKS[0]}.neg_downsampling_rate=0.25"
_COUNTRY = (
  "model.stratifiers=[{name: second, index: 1, value: 1}, {name: none, index: 0, value: 1}]"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("evaluation")
  train(user_config(path))
  return path


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
  leave_report_out(monkeypatch)


def predictions(config, folder):
  """What the restored model says of every record: probabilities, scores, labels, weights."""
  ranker = build_model(config)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  parts = []
  for features, labels, weights in make_dataset(config.validation_data["validation"], "evaluate"):
    outputs = ranker({name: features[name] for name in ranker.input})
    stacked = [np.stack([part[task] for task in TASKS], axis=1) for part in (labels, weights)]
    parts.append((outputs["probabilities"].numpy(), outputs["score"].numpy(), *stacked))
  return [np.concatenate(part) for part in zip(*parts)]


def result_of(config):
  return Evaluator(config).run()["partitions"]["validation"]


def test_equals_metrics_of_the_restored_model_on_every_record(folder):
  config = user_config(folder, _RATES)
  results = evaluate(config)["validation"]
  probabilities, _, labels, weights = predictions(config, folder)
  assert len(labels) == user_run.NUM_EXAMPLES
  for position, task in enumerate(TASKS):
    columns = probabilities[:, position], labels[:, position], weights[:, position]
    expected = metrics.evaluate_task(*columns)
    assert list(results[task]) == list(TASK_METRICS)
    assert {name: results[task][name] for name in expected} == pytest.approx(expected, rel=1e-5)
  rate = results[TASKS[0]]["positives"] / 120
  assert results[TASKS[0]]["click_through_rate"] == pytest.approx(rate / (rate + 4 * (1 - rate)))


def test_users_and_strata_are_those_of_the_records(folder):
  config = user_config(folder, _COUNTRY)
  partition = result_of(config)
  probabilities, scores, labels, _ = predictions(config, folder)
  assert partition["users"] == user_run.NUM_USERS
  for position, task in enumerate(TASKS):
    column, wanted = probabilities[:, position], labels[:, position]
    lists = [user_run.users() == user for user in range(user_run.NUM_USERS)]
    both = [chosen for chosen in lists if 0 < wanted[chosen].sum() < chosen.sum()]
    aucs = [sklearn.metrics.roc_auc_score(wanted[chosen], column[chosen]) for chosen in both]
    expected = np.average(aucs, weights=[chosen.sum() for chosen in both])
    assert partition["tasks"][task]["metrics"]["grouped_auc"] == pytest.approx(expected)
    second = user_run.countries() == 1
    auroc = partition["strata"]["second"]["tasks"][task]["metrics"]["auroc"]
    assert auroc == pytest.approx(sklearn.metrics.roc_auc_score(wanted[second], column[second]))
  # The third task has a negative weight: it is no engagement.
  engaged = labels[:, :2].max(axis=1)
  gains = [
    sklearn.metrics.ndcg_score([engaged[chosen]], [scores[chosen]], k=10)
    for chosen in lists
    if engaged[chosen].any()
  ]
  assert partition["ranking"]["ndcg@10"] == pytest.approx(np.mean(gains))
  low, high = partition["ranking_confidence"]["ndcg@10"]
  assert low < np.mean(gains) < high
  assert partition["strata"]["second"]["examples"] == 40
  empty = partition["strata"]["none"]["tasks"][TASKS[0]]
  assert math.isnan(empty["metrics"]["auroc"])
  assert empty["reasons"]["auroc"] == "there are no examples"


def test_num_eval_steps_bounds_what_is_read(folder):
  for steps, examples, complete in ((2, 32, False), (8, 120, True), (99, 120, True)):
    partition = result_of(user_config(folder, f"training.num_eval_steps={steps}"))
    assert (partition["examples"], partition["complete"]) == (examples, complete)


def test_evaluation_tasks_bound_what_is_measured(folder):
  overrides = [f"validation_data.validation.evaluation_tasks=[{TASKS[1]}]"]
  partition = result_of(user_config(folder, *overrides))
  assert list(partition["tasks"]) == [TASKS[1]]
  assert any(f"{TASKS[0]} does not count" in note for note in partition["notes"])


def test_scenarios_take_all_tasks_however_few_are_measured(folder):
  what_if = f"evaluation.what_if={{x: {{{TASKS[2]}: 0}}}}"
  measured = f"validation_data.validation.evaluation_tasks=[{TASKS[1]}]"
  result = Evaluator(user_config(folder, what_if, measured)).run()
  (few,) = result["partitions"]["validation"]["what_if"]["scenarios"]
  (scenario,) = result_of(user_config(folder, what_if))["what_if"]["scenarios"]
  for name in ("kendall_tau", "overlap@10"):
    assert few["metrics"][name] == scenario["metrics"][name]
  assert scenario["weights"] == {TASKS[0]: 0.5, TASKS[1]: 11.0, TASKS[2]: 0.0}
  write_report(str(folder / "run"))
  shown = Path(report_path(str(folder / "run"))).read_text()
  assert "Other weights of the score" in shown and "what if" in format_result(result)


def test_which_metrics_bounds_what_is_reported(folder):
  config = user_config(folder, "which_metrics=[auroc, ndcg]", "evaluation.ranking_cutoffs=[1, 3]")
  partition = result_of(config)
  assert list(partition["tasks"][TASKS[0]]["metrics"]) == ["auroc"]
  assert list(partition["ranking"]) == ["ndcg@1", "ndcg@3"]
  assert "AUROC" in format_result({"partitions": {"validation": partition}})


def test_the_result_lies_beside_the_checkpoint_as_json_and_in_tensorboard(folder):
  results = evaluate(user_config(folder))
  stored = read_result(results_path(str(folder / "run"), 6))
  assert (stored["step"], stored["tasks"]) == (6, list(TASKS))
  assert stored["score"]["weights"][TASKS[1]] == 11.0
  auroc = stored["partitions"]["validation"]["tasks"][TASKS[0]]["metrics"]["auroc"]
  assert auroc == results["validation"][TASKS[0]]["auroc"]
  folders = folder / "run" / "tensorboard" / "evaluation_validation"
  tags = {
    value.tag: tf.make_ndarray(value.tensor)
    for file in sorted(folders.iterdir())
    for event in tf.compat.v1.train.summary_iterator(str(file))
    for value in event.summary.value
  }
  assert tags[f"auroc/{TASKS[0]}"] == pytest.approx(auroc)
  assert "ranking/ndcg@10" in tags


def test_a_metric_without_a_value_is_null_in_json_and_a_dash_in_the_table(folder):
  # The first record only: one class is missing.
  overrides = ["training.num_eval_steps=1", "validation_data.validation.global_batch_size=1"]
  result = Evaluator(user_config(folder, *overrides)).run()
  stored = json.loads(Path(results_path(str(folder / "run"), 6)).read_text())
  task = stored["partitions"]["validation"]["tasks"][TASKS[0]]
  assert task["metrics"]["auroc"] is None
  assert task["reasons"]["auroc"] in ("no example is positive", "no example is negative")
  assert " - " in format_result(result)


def test_a_baseline_is_measured_beside_the_model(folder):
  def predict(features, tasks):
    return np.full((len(features["continuous"]), len(tasks)), 0.25, np.float32)

  result = Evaluator(user_config(folder), [Baseline("quarter", predict)]).run()
  found = result["partitions"]["validation"]["tasks"][TASKS[0]]["baselines"]
  assert list(found) == ["always_mean", "quarter"]
  rate = found["always_mean"]["click_through_rate"]
  assert found["always_mean"]["relative_cross_entropy"] == pytest.approx(0, abs=1e-9)
  assert found["quarter"]["auroc"] == 0.5
  assert found["quarter"]["log_loss"] == pytest.approx(
    -rate * math.log(0.25) - (1 - rate) * math.log(0.75), rel=1e-5
  )


def test_without_users_what_needs_them_is_undefined_and_says_so(folder):
  renamed = "validation_data.validation.seg_dense_schema.renamed_features.meta__user_id=null"
  partition = result_of(user_config(folder, renamed))
  task = partition["tasks"][TASKS[0]]
  assert partition["users"] is None
  assert math.isnan(task["metrics"]["grouped_auc"])
  assert "'meta__user_id'" in task["reasons"]["grouped_auc"]
  assert task["confidence"]["auroc"][0] < task["metrics"]["auroc"] < task["confidence"]["auroc"][1]
  for asking in ("which_metrics=[grouped_auc]", "evaluation.user_feature=meta__user_id"):
    with pytest.raises(ConfigError, match="validation reads no feature 'meta__user_id'"):
      evaluate(user_config(folder, renamed, asking))


def test_a_user_is_one_integer_or_string(folder):
  with pytest.raises(ConfigError, match="'user_embedding' is float_list of length 4"):
    evaluate(user_config(folder, "evaluation.user_feature=user_embedding"))


def test_strata_have_to_be_columns_of_discrete(folder, tmp_path):
  config = user_config(folder, "model.stratifiers=[{name: a, index: 2, value: 1}]")
  with pytest.raises(ConfigError, match=r"stratifiers\.0\.index: found 2, allowed: 0 to 1"):
    open_partition(config, "validation", config.validation_data["validation"])
  config = small_config(tmp_path, "model.stratifiers=[{name: a, index: 0, value: 1}]")
  with pytest.raises(ConfigError, match="validation reads no 'discrete'"):
    open_partition(config, "validation", config.validation_data["validation"])


def test_without_a_checkpoint_the_way_out_is_named(folder, tmp_path):
  with pytest.raises(CheckpointError, match="no checkpoint found. Train first"):
    evaluate(user_config(folder, f"training.save_dir={tmp_path}"))


def test_a_checkpoint_that_does_not_exist_is_named(folder):
  with pytest.raises(CheckpointError, match="step-99: no checkpoint"):
    evaluate(user_config(folder), str(folder / "run" / "checkpoints" / "step-99"))


def test_bad_data_is_counted_and_nothing_else_is_an_error(folder, tmp_path, capsys):
  (source,) = folder.glob("data/part-0.gz")
  content = source.read_bytes()
  (tmp_path / "part-0.gz").write_bytes(content[:-500])
  section = f"validation_data.validation.inputs={tmp_path}/*.gz"
  ignore = "validation_data.validation.ignore_data_errors=true"
  evaluate(user_config(folder, section, ignore))
  assert "0 bad record(s) left out, and 1 file(s)" in capsys.readouterr().out
  with tf.io.TFRecordWriter(str(tmp_path / "part-0.gz"), "GZIP") as writer:
    writer.write(b"no example")
  with pytest.raises(DataError, match="nothing that can be used was found. .* 1 bad record"):
    evaluate(user_config(folder, section, ignore))


def test_reading_nothing_is_an_error(folder):
  with pytest.raises(ConfigError, match="training.num_eval_steps: found 0, allowed: at least 1"):
    evaluate(user_config(folder, "training.num_eval_steps=0"))


def test_without_a_partition_there_is_nothing_to_measure(folder):
  with pytest.raises(ConfigError, match="validation_data: found no partition"):
    evaluate(user_config(folder, "validation_data=null"))
