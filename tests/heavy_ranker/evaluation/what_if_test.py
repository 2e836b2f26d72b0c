"""Tests of `heavy_ranker.evaluation.what_if`, against plain loops over the users."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.config.evaluation import METRIC_NAMES, EvaluationConfig
from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation.partition_meter import MeasuredBatch, PartitionMeter, Subject
from heavy_ranker.evaluation.partition_result import PartitionResult

BAZEL_SIZE = "medium"
TASKS = ("like", "report", "reply", "click")
MEASURED = ("reply", "like")
WEIGHTS = {"like": 1.0, "report": -20.0, "reply": 3.0, "click": 3.0}
SCORE = ScoreConfig(weights=WEIGHTS, only_largest_of=[["reply", "click"]])


def make_batch(size=400, seed=0):
  generator = np.random.default_rng(seed)
  probabilities = generator.beta(1, 4, (size, 4)).astype(np.float32)
  probabilities[:, 1] *= 0.05
  labels = generator.random((size, 2)) < probabilities[:, [2, 0]]
  users = generator.integers(0, size // 8, size)
  return MeasuredBatch(probabilities, labels, score_of(probabilities), users)


def score_of(probabilities, **changes):
  like, report, reply, click = probabilities.astype(np.float64).T
  weights = {**WEIGHTS, **changes}
  largest = weights["reply"] * np.maximum(reply, click)
  return (weights["like"] * like + weights["report"] * report + largest).astype(np.float32)


def result_of(batch, scenarios, score=SCORE, no_users=None, **changes):
  what = Subject(
    tasks=MEASURED,
    model_tasks=TASKS,
    class_weights=((4.0, 1.25), (1.0, 1.0)),
    metrics=METRIC_NAMES,
    settings=EvaluationConfig(
      **{"bootstrap_samples": 20, "ranking_cutoffs": [3, 1], **changes, "what_if": scenarios}
    ),
    score=score,
    no_users=no_users,
  )
  meter = PartitionMeter(what)
  meter.add(batch)
  return PartitionResult(meter).as_dict(complete=True)


def first(scores, count):
  return set(np.argsort(-scores)[:count].tolist())


def test_equals_loops_over_the_users():
  batch = make_batch()
  changes = {"report": -1.0, "like": 10.0}
  result = result_of(batch, {"milder": changes})
  found = result["what_if"]
  (scenario,) = found["scenarios"]
  before, after = batch.scores, score_of(batch.probabilities, **changes)
  taus, moved, kept, gains, places = [], [], [], [], ([], [])
  for user in np.unique(batch.users):
    rows = np.flatnonzero(batch.users == user)
    old, new = before[rows], after[rows]
    moved.append(first(old, 1) != first(new, 1))
    kept.append(len(first(old, 3) & first(new, 3)) / min(3, rows.size))
    for chosen, scores in zip(places, (old, new)):
      chosen += rows[list(first(scores, 3))].tolist()
    engaged = batch.labels[rows].any(axis=1)
    if rows.size > 1:
      taus.append(scipy.stats.kendalltau(old, new).statistic)
    if engaged.any():
      both = [
        sklearn.metrics.ndcg_score([engaged], [scores], k=3) if rows.size > 1 else 1.0
        for scores in (old, new)
      ]
      gains.append(both)
  present, value = np.mean(gains, axis=0)
  metrics = scenario["metrics"]
  assert scenario["weights"] == {**WEIGHTS, **changes}
  assert found["present"]["ndcg@3"] == pytest.approx(present)
  assert found["present"]["ndcg@3"] == pytest.approx(result["ranking"]["ndcg@3"])
  assert metrics["ndcg@3"] == pytest.approx(value)
  assert metrics["ndcg_change@3"] == pytest.approx(value - present)
  assert metrics["kendall_tau"] == pytest.approx(np.mean(taus))
  assert metrics["top_1_changed"] == pytest.approx(np.mean(moved))
  assert metrics["overlap@3"] == pytest.approx(np.mean(kept))
  assert metrics["overlap@1"] == pytest.approx(1 - np.mean(moved))
  low, high = scenario["confidence"]["ndcg_change@3"]
  assert low < value - present < high
  for place, task in enumerate(TASKS):
    column = batch.probabilities[:, place]
    top = scenario["top_tasks"][task]
    assert top["predicted_before"] == pytest.approx(column[places[0]].mean())
    assert top["predicted"] == pytest.approx(column[places[1]].mean())
    assert ("observed" in top) == (task in MEASURED)
  likes = batch.labels[:, MEASURED.index("like")]
  assert scenario["top_tasks"]["like"]["observed"] == pytest.approx(likes[places[1]].mean())


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 5), st.floats(0.01, 100) | st.sampled_from([1e-300, 1e306]))
def test_the_same_weights_and_all_of_them_scaled_change_nothing(seed, factor):
  scaled = {task: weight * factor for task, weight in WEIGHTS.items()}
  batch = make_batch(80, seed)
  found = result_of(batch, {"same": {}, "scaled": scaled}, bootstrap_samples=0)["what_if"]
  for scenario, error in zip(found["scenarios"], (0.0, 0.02)):  # Rounding may tie two scores.
    metrics = scenario["metrics"]
    assert metrics["kendall_tau"] == pytest.approx(1, abs=error)
    assert metrics["overlap@3"] == pytest.approx(1, abs=error)
    assert metrics["ndcg_change@3"] == pytest.approx(0, abs=error)
    assert metrics["top_1_changed"] == pytest.approx(0, abs=error)
    for top in scenario["top_tasks"].values():
      assert top["predicted"] == pytest.approx(top["predicted_before"], rel=error)


def test_the_opposite_score_turns_the_order_around():
  batch = make_batch()
  opposite = {task: -weight for task, weight in WEIGHTS.items()}
  (scenario,) = result_of(batch, {"opposite": opposite})["what_if"]["scenarios"]
  assert scenario["metrics"]["kendall_tau"] == pytest.approx(-1)
  assert scenario["metrics"]["ndcg_change@3"] < 0


def test_predictions_that_only_a_scenario_needs_change_no_metric():
  batch = make_batch()
  result = result_of(batch, {"x": {"like": 2.0}})
  del result["what_if"]
  # By repr, since NaN does not equal itself.
  assert repr(result) == repr(result_of(batch, {}))


def test_a_sample_of_the_users_says_so():
  batch = make_batch(4000)
  whole = result_of(batch, {"x": {"like": 9.0}})["what_if"]["scenarios"][0]
  result = result_of(batch, {"x": {"like": 9.0}}, max_examples_in_memory=2000)
  assert "what_if" in result["notes"][-1]
  tau = result["what_if"]["scenarios"][0]["metrics"]["kendall_tau"]
  assert tau == pytest.approx(whole["metrics"]["kendall_tau"], abs=0.05)


def test_without_users_there_is_a_reason():
  found = result_of(make_batch(), {"x": {"like": 9.0}}, no_users="it reads no users")["what_if"]
  assert found["reason"] == "it reads no users"
  assert "metrics" not in found["scenarios"][0]


def test_a_user_too_large_for_the_memory_leaves_nothing():
  batch = make_batch()
  batch.users[:] = 7
  found = result_of(batch, {"x": {"like": 9.0}}, max_examples_in_memory=100)["what_if"]
  assert "max_examples_in_memory" in found["reason"]


@pytest.mark.parametrize(
  "change, metric, reason",
  [
    ({"scores": 0.25}, "kendall_tau", "no user has two examples with different scores"),
    ({"labels": False}, "ndcg@3", "no user engaged with anything"),
  ],
)
def test_what_is_undefined_has_a_reason(change, metric, reason):
  batch = make_batch()
  if "scores" in change:
    batch.probabilities[:] = 0.25
  else:
    batch.labels[:] = False
  (scenario,) = result_of(batch, {"x": {"like": 9.0}})["what_if"]["scenarios"]
  assert math.isnan(scenario["metrics"][metric])
  assert scenario["reasons"][metric] == reason
  assert scenario["metrics"]["overlap@3"] == pytest.approx(
    1 if "scores" in change else 0.7, abs=0.3
  )


def test_without_a_rewarded_task_there_is_no_ndcg():
  score = ScoreConfig(weights=dict.fromkeys(TASKS, -1.0), only_largest_of=[])
  (scenario,) = result_of(make_batch(), {"x": {"like": 9.0}}, score)["what_if"]["scenarios"]
  assert "positive weight" in scenario["reasons"]["ndcg@3"]
  assert math.isfinite(scenario["metrics"]["kendall_tau"])
