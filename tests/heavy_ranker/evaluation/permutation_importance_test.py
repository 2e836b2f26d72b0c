"""Tests of `heavy_ranker.evaluation.permutation_importance` with a model made up."""

import numpy as np
import pytest
import sklearn.metrics

from heavy_ranker.evaluation.feature_columns import FeatureGroup
from heavy_ranker.evaluation.labelled_examples import LabelledExamples
from heavy_ranker.evaluation.permutation_importance import PermutationImportance

BAZEL_SIZE = "small"
TASKS = ("first", "both")


def group(*places, name="x"):
  return FeatureGroup("g", {name: np.array(places)}, tuple(f"{name}[{p}]" for p in places))


def make_examples(size=300):
  generator = np.random.default_rng(0)
  x = generator.standard_normal((size, 4)).astype(np.float32)
  x[:, 2] = x[:, 1]
  features = {"x": x, "ids": generator.integers(0, 9, (size, 1))}
  labels = generator.random((size, 2)) < predict(features)
  weights = np.where(labels, 1.0, 3.0)
  return LabelledExamples(features, labels.astype(np.float32), weights)


def predict(batch):
  """The second task needs columns 1 and 2 to be equal."""
  x = batch["x"].astype(np.float64)
  logits = np.stack([2 * x[:, 0], x[:, 0] - 8 * np.abs(x[:, 1] - x[:, 2])], axis=1)
  return (1 / (1 + np.exp(-logits))).astype(np.float32)


def measure(what, examples=None, metric="auroc", batch_size=64, repeats=3, seed=0):
  importance = PermutationImportance(
    predict, examples or make_examples(), TASKS, metric, batch_size, repeats, seed
  )
  passes = []
  entry = importance.measure(what, lambda: passes.append(1))
  assert len(passes) == repeats
  return importance, entry


def test_only_what_the_model_reads_matters():
  importance, entry = measure(group(0))
  assert entry["drop"]["first"] == pytest.approx(importance.baseline["first"] - 0.5, abs=0.05)
  for columns in (group(3), group(0, name="ids")):
    _, entry = measure(columns)
    assert entry["drop"] == entry["drop_low"] == entry["drop_high"] == {"first": 0, "both": 0}


def test_columns_of_a_group_are_permuted_together():
  _, together = measure(group(1, 2))
  _, alone = measure(group(1))
  assert together["drop"]["both"] == 0
  assert alone["drop"]["both"] > 0.1


@pytest.mark.parametrize("metric", ["auroc", "log_loss"])
def test_the_drop_is_the_mean_over_the_permutations(metric):
  examples = make_examples()
  importance, entry = measure(group(0), examples, metric)
  values = []
  for repeat in range(3):
    order = np.random.default_rng([0, repeat]).permutation(300)
    x = examples.features["x"].copy()
    x[:, 0] = x[order, 0]
    arguments = examples.labels[:, 0], predict({"x": x})[:, 0]
    score = sklearn.metrics.roc_auc_score if metric == "auroc" else sklearn.metrics.log_loss
    values.append(score(*arguments, sample_weight=examples.weights[:, 0]))
  drops = (importance.baseline["first"] - np.array(values)) * (1 if metric == "auroc" else -1)
  assert drops.min() > 0
  assert entry["drop"]["first"] == pytest.approx(drops.mean(), rel=1e-5)
  assert entry["drop_low"]["first"] == pytest.approx(drops.min(), rel=1e-5)
  assert entry["drop_high"]["first"] == pytest.approx(drops.max(), rel=1e-5)


def test_batches_change_nothing_but_seeds_do():
  _, expected = measure(group(0, 3))
  for batch_size in (1, 299, 4096):
    assert measure(group(0, 3), batch_size=batch_size)[1]["drop"] == pytest.approx(expected["drop"])
  assert measure(group(0, 3), seed=1)[1]["drop"] != expected["drop"]


def test_one_permutation_has_no_spread():
  _, entry = measure(group(0), repeats=1)
  assert entry["drop_low"] is entry["drop_high"] is None


def test_examples_stay_as_they_are():
  examples = make_examples()
  before = examples.features["x"].copy()
  measure(group(0, 1), examples)
  np.testing.assert_array_equal(examples.features["x"], before)


def test_a_task_of_one_class_has_a_reason():
  examples = make_examples()
  examples.labels[:, 1] = 0
  importance, entry = measure(group(0), examples)
  assert np.isnan(importance.baseline["both"]) and np.isnan(entry["drop"]["both"])
  assert importance.reasons == {"both": "no example is positive"}


def test_an_unknown_metric_is_refused():
  with pytest.raises(ValueError, match="metric: found 'examples'"):
    measure(group(0), metric="examples")
