"""Tests of `heavy_ranker.evaluation.partition_meter` and of the result made of it."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.config.evaluation import METRIC_NAMES, EvaluationConfig
from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation import metrics
from heavy_ranker.evaluation.partition_meter import MeasuredBatch, PartitionMeter, Subject
from heavy_ranker.evaluation.partition_result import PartitionResult

BAZEL_DATA = ["//tests/golden:all"]
TASKS = ("like", "report", "reply")
MEASURED = ("reply", "like")
CLASS_WEIGHTS = ((4.0, 1.25), (1.0, 1.0))
SCORE = ScoreConfig(weights={"like": 1.0, "report": -20.0, "reply": 3.0}, only_largest_of=[])


def subject(**changes):
  settings_changes = changes.pop("settings", {})
  values = {
    "tasks": MEASURED,
    "model_tasks": TASKS,
    "class_weights": CLASS_WEIGHTS,
    "metrics": METRIC_NAMES,
    "settings": EvaluationConfig(**{"bootstrap_samples": 20, **settings_changes}),
    "score": SCORE,
    "strata": ("even", "odd"),
  }
  return Subject(**{**values, **changes})


def make_batch(size, seed=0):
  generator = np.random.default_rng(seed)
  probabilities = generator.beta(1, 4, (size, 3)).astype(np.float32)
  labels = generator.random((size, 2)) < probabilities[:, [2, 0]]
  scores = probabilities @ np.array([1, -20, 3], np.float32)
  users = generator.integers(-5, max(size // 6, 1), size)
  parity = np.arange(size) % 2
  return MeasuredBatch(probabilities, labels, scores, users, np.stack([parity == 0, parity == 1]))


def part(batch, positions):
  return MeasuredBatch(
    batch.probabilities[positions],
    batch.labels[positions],
    batch.scores[positions],
    batch.users[positions],
    batch.strata[:, positions],
  )


def measure(what, *batches):
  meter = PartitionMeter(what)
  for batch in batches:
    meter.add(batch)
  return PartitionResult(meter).as_dict(complete=True)


def assert_alike(actual, expected, path=""):
  """Compares results number by number."""
  assert type(actual) is type(expected), path
  if isinstance(actual, dict):
    assert list(actual) == list(expected), path
    for key in actual:
      assert_alike(actual[key], expected[key], f"{path}/{key}")
  elif isinstance(actual, (list, tuple)):
    assert len(actual) == len(expected), path
    for index, pair in enumerate(zip(actual, expected)):
      assert_alike(*pair, f"{path}/{index}")
  elif isinstance(actual, float):
    assert actual == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True), path
  else:
    assert actual == expected, path


def test_metrics_equal_those_of_all_examples_at_once():
  batch = make_batch(3000)
  result = measure(subject(), part(batch, slice(0, 1700)), part(batch, slice(1700, None)))
  assert result["exact"]
  assert result["notes"] == []
  for position, task in enumerate(MEASURED):
    column = batch.probabilities[:, TASKS.index(task)]
    labels = batch.labels[:, position]
    weights = np.where(labels, CLASS_WEIGHTS[position][1], CLASS_WEIGHTS[position][0])
    measured = result["tasks"][task]
    expected = metrics.evaluate_task(column, labels, weights)
    assert {name: measured["metrics"][name] for name in expected} == pytest.approx(expected)
    expected = sklearn.metrics.roc_auc_score(labels, column, sample_weight=weights)
    assert measured["metrics"]["auroc"] == pytest.approx(expected)
    assert measured["approximation_error"] == measured["reasons"] == {}
    curve = measured["roc"]
    area = np.trapz(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(expected, abs=2e-4)
    assert len(curve["true_positive_rate"]) <= 400
    for name, (low, high) in measured["confidence"].items():
      assert low < measured["metrics"][name] < high, name
    odd = batch.strata[1]
    expected = metrics.evaluate_task(column[odd], labels[odd], weights[odd])
    actual = result["strata"]["odd"]["tasks"][task]["metrics"]
    assert {name: actual[name] for name in expected} == pytest.approx(expected)


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(60)), st.lists(st.integers(0, 60), max_size=5).map(sorted))
def test_order_and_size_of_batches_change_nothing(order, splits):
  batch = make_batch(60, seed=4)
  parts = [part(batch, positions) for positions in np.split(np.array(order), splits)]
  actual = measure(subject(), *[each for each in parts if each.scores.size])
  expected = measure(subject(), batch)
  del actual["batches"], expected["batches"]
  assert_alike(actual, expected)


@pytest.mark.parametrize("kind", ["plain", "ties", "extreme", "low_ctr", "all_tied"])
def test_equals_the_reference(kind):
  golden = Path(__file__).parents[2] / "golden"
  expected = json.loads((golden / "d_metrics.json").read_text())["cases"][f"{kind}/unweighted"]
  what = subject(
    tasks=("like",), model_tasks=("like",), class_weights=((1.0, 1.0),), strata=(), no_users="none"
  )
  batches = []
  with np.load(golden / "d_metrics.npz") as arrays:
    for number in range(4):
      names = (f"{kind}/batch{number}/{name}" for name in ("predictions", "target"))
      predictions, labels = (arrays[name][:, np.newaxis] for name in names)
      # In float32 the highest clipped probability is 1 - 2^-23.
      clipped = np.minimum(predictions.astype(np.float32), np.float32(1 - 2**-23))
      batches.append(MeasuredBatch(clipped, labels, clipped[:, 0]))
  actual = measure(what, *batches)["tasks"]["like"]["metrics"]
  assert actual["auroc"] == pytest.approx(expected["auroc_bruteforce_f64"], rel=1e-6)
  # The reference's error is relative to the ratio of cross entropies.
  ratio = 1 - expected["rce"][-1] / 100
  assert 1 - actual["relative_cross_entropy"] / 100 == pytest.approx(ratio, rel=1e-6)
  mean = expected["mean_prediction"][-1]
  assert actual["predicted_click_through_rate"] == pytest.approx(mean, rel=1e-6)


def test_beyond_the_bound_sums_stay_exact_and_errors_are_bounded():
  batch = make_batch(6000, seed=1)
  exact = measure(subject(), batch)
  what = subject(settings={"max_examples_in_memory": 2000})
  sampled = measure(what, part(batch, slice(0, 1500)), part(batch, slice(1500, None)))
  assert not sampled["exact"]
  assert "1 in 4 of the users" in sampled["notes"][-1]
  assert sampled["users"] == pytest.approx(exact["users"], rel=0.2)
  for task in MEASURED:
    actual, expected = (result["tasks"][task]["metrics"] for result in (sampled, exact))
    errors = sampled["tasks"][task]["approximation_error"]
    for name, value in actual.items():
      if name in ("grouped_auc", "expected_calibration_error"):
        continue  # Of a sample; with other ends of the bins.
      assert value == pytest.approx(expected[name], rel=1e-9, abs=errors.get(name, 0)), name
    assert set(errors) > {"auroc", "average_precision"}
    low, high = sampled["tasks"][task]["confidence"]["grouped_auc"]
    assert low < expected["grouped_auc"] < high
    widths = [np.diff(result["tasks"][task]["confidence"]["auroc"]) for result in (sampled, exact)]
    assert widths[0] == pytest.approx(widths[1], rel=0.6)
    assert sampled["strata"]["odd"]["tasks"][task]["metrics"]["auroc"] == pytest.approx(
      exact["strata"]["odd"]["tasks"][task]["metrics"]["auroc"], abs=1e-3
    )


def test_one_user_with_more_examples_than_fit_leaves_no_sample():
  batch = make_batch(300)
  batch.users[:] = 7
  result = measure(subject(settings={"max_examples_in_memory": 100}), batch)
  measured = result["tasks"]["like"]
  assert math.isfinite(measured["metrics"]["auroc"])
  assert math.isnan(measured["metrics"]["grouped_auc"])
  assert measured["confidence"] == {}


def test_a_user_that_is_everybody_is_pointed_out():
  batch = make_batch(50)
  batch.users[:] = 0
  result = measure(subject(), batch)
  assert "every example has the same meta__user_id, 0" in result["notes"][0]


@pytest.mark.parametrize("label, word", [(False, "positive"), (True, "negative")])
def test_a_missing_class_has_reasons(label, word):
  batch = make_batch(30)
  batch.labels[:, 1] = label
  measured = measure(subject(), batch)["tasks"]["like"]
  for name in ("auroc", "average_precision", "relative_cross_entropy"):
    assert math.isnan(measured["metrics"][name])
    assert measured["reasons"][name] == f"no example is {word}"
  assert measured["reasons"]["grouped_auc"].startswith("no user has both")
  assert measured["roc"]["true_positive_rate"] == []
  assert "auroc" not in measured["confidence"]


def test_equal_predictions_rank_at_random():
  batch = make_batch(60)
  batch.probabilities[:] = 0.25
  measured = measure(subject(), batch)["tasks"]["like"]
  assert measured["metrics"]["auroc"] == 0.5
  assert measured["metrics"]["grouped_auc"] == 0.5
  assert len(measured["reliability"]["calibrated"]) == 1


def test_probabilities_that_were_recalibrated_are_shown_as_they_were_predicted():
  batch, ratio = make_batch(2000), 0.05
  raw = batch.probabilities.astype(np.float64)
  calibrated = (raw * ratio / (1 - raw + ratio * raw)).astype(np.float32)
  changed = MeasuredBatch(
    calibrated,
    batch.labels,
    batch.scores,
    batch.users,
    batch.strata,
    uncalibrated=batch.probabilities,
  )
  result = measure(subject(is_calibrated=True), changed)
  shown = result["tasks"]["like"]["reliability"]
  expected = measure(subject(), batch)["tasks"]["like"]["reliability"]["calibrated"]
  # From the histogram, raw predictions not being kept one by one: examples at the end of a bin may
  # lie in the next one.
  assert len(shown["uncalibrated"]) == len(expected)
  for found, wanted in zip(shown["uncalibrated"], expected):
    assert found["predicted"] == pytest.approx(wanted["predicted"], rel=0.02)
    assert found["observed"] == pytest.approx(wanted["observed"], abs=0.02)
  plain = measure(subject(), changed)["tasks"]["like"]["reliability"]
  assert "uncalibrated" not in plain
  assert_alike(plain["calibrated"], shown["calibrated"])


def test_without_a_rewarded_task_there_is_no_ranking():
  score = ScoreConfig(weights=dict.fromkeys(TASKS, -1.0), only_largest_of=[])
  result = measure(subject(score=score), make_batch(30))
  assert math.isnan(result["ranking"]["ndcg@10"])
  assert "no task that is measured has a positive weight" in result["notes"][0]


@pytest.mark.parametrize("bad", ["probabilities", "labels", "scores"])
def test_bad_values_are_refused(bad):
  batch = make_batch(5)
  changed = {**vars(batch), bad: np.full(getattr(batch, bad).shape, np.nan, np.float32)}
  with pytest.raises(ValueError, match=bad):
    PartitionMeter(subject()).add(MeasuredBatch(**changed))


@pytest.mark.parametrize("in_memory", [10_000, 800])
def test_a_gain_is_surer_than_the_metrics_it_is_the_difference_of(in_memory):
  batch, generator = make_batch(3000), np.random.default_rng(1)
  own = batch.probabilities[:, [2, 0]]
  odds = own / (1 - own) * np.exp(generator.normal(0, 0.3, own.shape))
  others = {"same": own, "noisier": (odds / (1 + odds)).astype(np.float32)}
  with_others = MeasuredBatch(**{**vars(batch), "baselines": others})
  what = subject(baselines=tuple(others), upper_bound="same")
  result = measure(
    dataclasses.replace(what, settings=EvaluationConfig(max_examples_in_memory=in_memory)),
    with_others,
  )
  assert result["exact"] == (in_memory > 3000)
  assert result["tasks"]["like"]["achievable_rce_share"] == 1
  for found in result["tasks"].values():
    for metric in ("relative_cross_entropy", "auroc"):
      assert found["gain"]["same"][metric] == {"value": 0, "low": 0, "high": 0}
      gain, (low, high) = found["gain"]["noisier"][metric], found["confidence"][metric]
      noisier = found["baselines"]["noisier"][metric]
      assert gain["value"] == pytest.approx(found["metrics"][metric] - noisier)
      assert gain["low"] < gain["value"] < gain["high"]
      assert gain["high"] - gain["low"] < (high - low) / 2


def test_without_resamples_a_gain_has_no_interval():
  batch = make_batch(60)
  others = {"half": np.full((60, 2), 0.5, np.float32)}
  what = subject(baselines=("half",), upper_bound="half", settings={"bootstrap_samples": 0})
  found = measure(what, MeasuredBatch(**{**vars(batch), "baselines": others}))["tasks"]["like"]
  gain = found["gain"]["half"]["auroc"]
  assert gain["value"] == pytest.approx(found["metrics"]["auroc"] - 0.5)
  assert math.isnan(gain["low"]) and math.isnan(gain["high"])
  # A bound that is worse than the mean bounds nothing.
  assert math.isnan(found["achievable_rce_share"])
