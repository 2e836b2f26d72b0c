"""Tests of `heavy_ranker.evaluation.metrics`."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.evaluation import metrics

BAZEL_DATA = ["//tests/golden:all"]

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = ("plain", "ties", "extreme", "low_ctr", "all_tied")
WEIGHTINGS = ("unweighted", "weighted")
BATCHES = 4

COUNTS = ("examples", "positives")
NEED_BOTH_CLASSES = (
  "relative_cross_entropy",
  "normalized_relative_cross_entropy",
  "auroc",
  "average_precision",
)

# In float32 the highest clipped probability is 1 - 2 ** -23, not 1 - 1e-7, which changes the log
# loss of a certain and wrong prediction by 0.6%.
HIGHEST_FLOAT32 = float(np.float32(1) - np.float32(metrics.EPSILON))

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", name="golden")
def golden_fixture():
  with np.load(GOLDEN / "d_metrics.npz") as arrays:
    return dict(arrays)


def golden_batches(golden, kind, weighting):
  """The batches of one case as a list of (probabilities, labels, weights), in float64."""
  batches = []
  for i in range(BATCHES):
    names = ("predictions", "target", "weight")
    batch = [golden[f"{kind}/batch{i}/{name}"].astype(np.float64) for name in names]
    if weighting == "unweighted":
      batch[2] = np.ones_like(batch[2])
    batches.append(tuple(batch))
  return batches


def concatenate(batches):
  return tuple(np.concatenate(arrays) for arrays in zip(*batches))


def assert_same_relative_cross_entropy(actual, expected):
  # The reference subtracts a float32 ratio of cross entropies from 1, so that its error is relative
  # to that ratio, not to the difference.
  assert 1 - actual / 100 == pytest.approx(1 - expected / 100, rel=1e-6)


def as_in_float32(probabilities):
  return np.minimum(probabilities, HIGHEST_FLOAT32)


golden_cases = pytest.mark.parametrize(
  ("kind", "weighting"), [(kind, weighting) for kind in KINDS for weighting in WEIGHTINGS]
)


@golden_cases
def test_relative_cross_entropy_matches_the_reference(golden, kind, weighting):
  batches = golden_batches(golden, kind, weighting)
  running = golden[f"{kind}/{weighting}/rce"]
  per_batch = golden[f"{kind}/{weighting}/rce_forward_per_batch"]
  for i in range(BATCHES):
    probabilities, labels, weights = concatenate(batches[: i + 1])
    assert_same_relative_cross_entropy(
      metrics.relative_cross_entropy(as_in_float32(probabilities), labels, weights), running[i]
    )
    probabilities, labels, weights = batches[i]
    assert_same_relative_cross_entropy(
      metrics.relative_cross_entropy(as_in_float32(probabilities), labels, weights), per_batch[i]
    )


@golden_cases
def test_normalized_relative_cross_entropy_matches_the_reference(golden, kind, weighting):
  per_batch = golden[f"{kind}/{weighting}/nrce_forward_per_batch"]
  for batch, expected in zip(golden_batches(golden, kind, weighting), per_batch):
    probabilities, labels, weights = batch
    scale = np.average(labels, weights=weights) / np.average(probabilities, weights=weights)
    scaled = np.minimum(probabilities * scale, 1)
    actual = metrics.normalized_relative_cross_entropy(*batch)
    assert actual == pytest.approx(
      metrics.relative_cross_entropy(scaled, labels, weights), rel=1e-9, abs=1e-9
    )
    if np.any(scaled > HIGHEST_FLOAT32):
      actual = metrics.relative_cross_entropy(as_in_float32(scaled), labels, weights)
    assert_same_relative_cross_entropy(actual, expected)


@golden_cases
def test_running_normalization_explains_the_reference_over_batches(golden, kind, weighting):
  # The reference streams: it scales each batch by the means seen up to then, so that its NRCE of
  # several batches depends on their order. The project's uses the means of all the examples.
  batches = golden_batches(golden, kind, weighting)
  expected = golden[f"{kind}/{weighting}/nrce"]
  normalized = []
  for i, (probabilities, labels, weights) in enumerate(batches):
    seen_probabilities, seen_labels, seen_weights = concatenate(batches[: i + 1])
    scale = np.dot(seen_labels, seen_weights) / np.dot(seen_probabilities, seen_weights)
    normalized.append((as_in_float32(probabilities * scale), labels, weights))
    actual = metrics.relative_cross_entropy(*concatenate(normalized))
    assert_same_relative_cross_entropy(actual, expected[i])


@golden_cases
def test_auroc_matches_the_reference(golden, kind, weighting):
  batches = golden_batches(golden, kind, weighting)
  for i, expected in enumerate(golden[f"{kind}/{weighting}/auroc"]):
    assert metrics.auroc(*concatenate(batches[: i + 1])) == pytest.approx(expected, rel=1e-6)
  cases = json.loads((GOLDEN / "d_metrics.json").read_text())["cases"]
  expected = cases[f"{kind}/{weighting}"]["auroc_bruteforce_f64"]
  assert metrics.auroc(*concatenate(batches)) == pytest.approx(expected, rel=1e-12)


@golden_cases
def test_predicted_click_through_rate_matches_the_reference(golden, kind, weighting):
  batches = golden_batches(golden, kind, weighting)
  for i, expected in enumerate(golden[f"{kind}/{weighting}/mean_prediction"]):
    actual = metrics.predicted_click_through_rate(*concatenate(batches[: i + 1]))
    assert actual == pytest.approx(expected, rel=1e-6)


def brute_force_auroc(probabilities, labels, weights):
  wins = pairs = 0.0
  for p, y, w in zip(probabilities, labels, weights):
    for q, z, v in zip(probabilities, labels, weights):
      if y == 1 and z == 0:
        wins += w * v * (1.0 if p > q else 0.5 if p == q else 0.0)
        pairs += w * v
  return wins / pairs


def random_task(seed, size=300, decimals=None):
  """Weighted examples of both classes; `decimals` rounds the probabilities to give ties."""
  rng = np.random.default_rng(seed)
  probabilities = rng.uniform(0.01, 0.99, size)
  labels = (rng.uniform(size=size) < probabilities).astype(np.float64)
  if decimals is not None:
    probabilities = probabilities.round(decimals)
  return probabilities, labels, rng.exponential(3.0, size)


@pytest.mark.parametrize("decimals", [None, 2, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_metrics_match_scikit_learn(seed, decimals):
  probabilities, labels, weights = random_task(seed, decimals=decimals)
  expected = sklearn.metrics.roc_auc_score(labels, probabilities, sample_weight=weights)
  assert metrics.auroc(probabilities, labels, weights) == pytest.approx(expected, rel=1e-12)
  expected = sklearn.metrics.average_precision_score(labels, probabilities, sample_weight=weights)
  actual = metrics.average_precision(probabilities, labels, weights)
  assert actual == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_log_loss_matches_scikit_learn(seed):
  probabilities, labels, weights = random_task(seed)
  expected = sklearn.metrics.log_loss(labels, probabilities, sample_weight=weights)
  # scikit-learn adds no epsilon inside the logs, which moves each by up to EPSILON / 0.01 here.
  assert metrics.log_loss(probabilities, labels, weights) == pytest.approx(expected, abs=1e-5)


def test_many_examples_match_scikit_learn():
  probabilities, labels, weights = random_task(seed=0, size=200_000, decimals=4)
  actual = metrics.evaluate_task(probabilities, labels, weights)
  scores = {"y_true": labels, "y_score": probabilities, "sample_weight": weights}
  assert actual["auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(**scores), rel=1e-10)
  expected = sklearn.metrics.average_precision_score(**scores)
  assert actual["average_precision"] == pytest.approx(expected, rel=1e-10)


def test_values_worked_by_hand():
  probabilities = np.array([0.8, 0.4, 0.4, 0.2])
  labels = np.array([1, 1, 0, 0])
  weights = np.array([1.0, 1.0, 2.0, 0.0])
  actual = metrics.evaluate_task(probabilities, labels, weights)
  expected = {
    "relative_cross_entropy": 100 * (1 - -math.log(0.8 * 0.4 * 0.6 * 0.6) / -math.log(0.5**4)),
    "normalized_relative_cross_entropy": 100
    * (1 - -math.log(0.8 * 0.4 * 0.6 * 0.6) / -math.log(0.5**4)),
    "log_loss": -math.log(0.8 * 0.4 * 0.6 * 0.6) / 4,
    # Of the weight of pairs, 4, the first positive wins 2 and the second ties 2.
    "auroc": 0.75,
    # Precision 1 at recall 1/2, then 1/2 at recall 1.
    "average_precision": 0.75,
    "click_through_rate": 0.5,
    "predicted_click_through_rate": 0.5,
    "examples": 4,
    "positives": 2,
  }
  assert list(actual) == list(expected)
  assert actual == pytest.approx(expected, rel=1e-5)
  assert {type(value) for value in actual.values()} == {float}


def test_normalization_changes_the_scale_of_predictions():
  probabilities = np.array([0.1, 0.3, 0.2, 0.2])
  labels = np.array([0, 1, 1, 0])
  weights = np.ones(4)
  actual = metrics.normalized_relative_cross_entropy(probabilities, labels, weights)
  expected = metrics.relative_cross_entropy(probabilities * 2.5, labels, weights)
  assert actual == pytest.approx(expected, rel=1e-12)
  assert actual > 0 > metrics.relative_cross_entropy(probabilities, labels, weights)


def test_log_loss_of_certain_predictions_is_finite():
  wrong = metrics.log_loss(np.array([1.0, 0.0]), np.array([0, 1]), np.ones(2))
  assert wrong == pytest.approx(-math.log(2 * metrics.EPSILON), rel=1e-9)
  right = metrics.log_loss(np.array([1.0, 0.0]), np.array([1, 0]), np.ones(2))
  assert right == pytest.approx(0, abs=1e-15)


def test_perfect_and_reversed_orders():
  probabilities, labels, weights = random_task(seed=1)
  assert metrics.auroc(labels, labels, weights) == pytest.approx(1, rel=1e-12)
  assert metrics.auroc(labels, labels, weights) <= 1
  assert metrics.average_precision(labels, labels, weights) == pytest.approx(1, rel=1e-12)
  assert metrics.average_precision(labels, labels, weights) <= 1
  assert metrics.auroc(1 - labels, labels, weights) == 0
  reversed_auroc = metrics.auroc(1 - probabilities, labels, weights)
  assert reversed_auroc == pytest.approx(1 - metrics.auroc(probabilities, labels, weights))


def test_all_tied_predictions_rank_at_random():
  _, labels, weights = random_task(seed=2)
  tied = np.full(labels.size, 0.37)
  actual = metrics.evaluate_task(tied, labels, weights)
  assert actual["auroc"] == pytest.approx(0.5, rel=1e-12)
  assert actual["average_precision"] == pytest.approx(actual["click_through_rate"], rel=1e-12)


def test_examples_of_weight_zero_are_absent_but_counted():
  probabilities, labels, weights = random_task(seed=3, decimals=1)
  weights[::3] = 0
  kept = weights > 0
  actual = metrics.evaluate_task(probabilities, labels, weights)
  expected = metrics.evaluate_task(probabilities[kept], labels[kept], weights[kept])
  for name in set(metrics.METRICS) - set(COUNTS):
    assert actual[name] == pytest.approx(expected[name], rel=1e-10), name
  assert actual["examples"] == labels.size
  assert actual["positives"] == labels.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int32, bool])
def test_inputs_of_any_number_type(dtype):
  labels = np.array([0, 1, 1, 0], dtype)
  probabilities = np.array([0.25, 0.5, 0.75, 0.5], np.float32)
  weights = np.array([1, 1, 0, 1], dtype)
  actual = metrics.evaluate_task(probabilities, labels, weights)
  arrays = (array.astype(np.float64) for array in (probabilities, labels, weights))
  assert actual == metrics.evaluate_task(*arrays)


def test_inputs_are_left_as_they_were():
  arrays = random_task(seed=4)
  copies = [array.copy() for array in arrays]
  metrics.evaluate_task(*arrays)
  for array, copy in zip(arrays, copies):
    np.testing.assert_array_equal(array, copy)


@st.composite
def tasks(draw, weights=None):
  """Up to 40 examples, at least one of each class, with probabilities of which many are tied."""
  size = draw(st.integers(2, 40))
  probability = st.integers(0, 64).map(lambda k: k / 64)
  weight = st.floats(0.01, 100) if weights is None else weights
  others = draw(st.lists(st.integers(0, 1), min_size=size - 2, max_size=size - 2))
  arrays = (
    draw(st.lists(probability, min_size=size, max_size=size)),
    [0, 1, *others],
    draw(st.lists(weight, min_size=size, max_size=size)),
  )
  return tuple(np.array(array, np.float64) for array in arrays)


def assert_same_metrics(actual, expected, but=()):
  assert set(actual) == set(expected)
  for name in set(actual) - set(but):
    assert actual[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-8, nan_ok=True), name


@settings(deadline=None)
@given(task=tasks())
def test_auroc_equals_the_comparison_of_all_pairs(task):
  assert metrics.auroc(*task) == pytest.approx(brute_force_auroc(*task), rel=1e-10, abs=1e-12)


@settings(deadline=None)
@given(task=tasks(), data=st.data())
def test_the_order_of_examples_changes_nothing(task, data):
  order = data.draw(st.permutations(range(task[0].size)))
  permuted = [array[order] for array in task]
  assert_same_metrics(metrics.evaluate_task(*permuted), metrics.evaluate_task(*task))


@settings(deadline=None)
@given(task=tasks(), scale=st.floats(1e-3, 1e3))
def test_the_scale_of_weights_changes_nothing(task, scale):
  probabilities, labels, weights = task
  scaled = metrics.evaluate_task(probabilities, labels, weights * scale)
  assert_same_metrics(scaled, metrics.evaluate_task(*task))


@settings(deadline=None)
@given(task=tasks(weights=st.integers(0, 5)))
def test_whole_weights_equal_repetition(task):
  probabilities, labels, weights = task
  times = weights.astype(int)
  repeated = np.repeat(probabilities, times), np.repeat(labels, times), np.ones(times.sum())
  weighted = metrics.evaluate_task(*task)
  assert_same_metrics(metrics.evaluate_task(*repeated), weighted, but=COUNTS)


@settings(deadline=None)
@given(task=tasks(), power=st.integers(2, 5))
def test_auroc_depends_on_the_order_of_predictions_alone(task, power):
  probabilities, labels, weights = task
  transformed = metrics.auroc(probabilities**power / 2 + 0.25, labels, weights)
  assert transformed == pytest.approx(metrics.auroc(*task), rel=1e-12)


@settings(deadline=None)
@given(task=tasks())
def test_always_predicting_the_mean_label_has_no_relative_cross_entropy(task):
  _, labels, weights = task
  mean = np.full(labels.size, np.average(labels, weights=weights))
  assert metrics.relative_cross_entropy(mean, labels, weights) == pytest.approx(0, abs=1e-7)


@settings(deadline=None)
@given(task=tasks(), constant=st.floats(1e-3, 1))
def test_any_constant_prediction_has_no_normalized_relative_cross_entropy(task, constant):
  _, labels, weights = task
  predictions = np.full(labels.size, constant)
  actual = metrics.normalized_relative_cross_entropy(predictions, labels, weights)
  assert actual == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
  ("labels", "weights"),
  [
    ([0, 0, 0], [1.0, 2.0, 3.0]),
    ([1, 1, 1], [1.0, 2.0, 3.0]),
    ([1, 1, 0], [0.1, 0.2, 0.0]),
    ([0, 1, 0], [0.1, 0.0, 0.2]),
  ],
)
def test_a_missing_class_gives_nan(labels, weights):
  actual = metrics.evaluate_task(np.array([0.1, 0.2, 0.7]), np.array(labels), np.array(weights))
  for name, value in actual.items():
    assert math.isnan(value) == (name in NEED_BOTH_CLASSES), name


@pytest.mark.parametrize("size", [0, 3])
def test_no_weight_gives_nan(size):
  labels = np.arange(size) % 2
  actual = metrics.evaluate_task(np.full(size, 0.5), labels, np.zeros(size))
  for name, value in actual.items():
    assert math.isnan(value) == (name not in COUNTS), name
  assert (actual["examples"], actual["positives"]) == (size, labels.sum())


def test_empty_lists():
  assert set(metrics.evaluate_task([], [], [])) == set(metrics.METRICS)


def test_predictions_of_zero_alone_cannot_be_normalized():
  actual = metrics.evaluate_task(np.zeros(3), np.array([0, 1, 0]), np.ones(3))
  assert math.isnan(actual["normalized_relative_cross_entropy"])
  assert actual["relative_cross_entropy"] < 0


def test_a_mean_label_that_rounds_to_zero_gives_nan():
  task = np.array([0.5, 0.5]), np.array([1, 0]), np.array([1e-300, 1e300])
  assert math.isnan(metrics.relative_cross_entropy(*task))


GOOD = {"probabilities": [0.1, 0.2, 0.7], "labels": [0, 1, 0], "weights": [1.0, 2.0, 1.0]}


@pytest.mark.parametrize("metric", [*metrics.METRICS.values(), metrics.evaluate_task])
@pytest.mark.parametrize(
  ("bad", "message"),
  [
    ({"labels": [0, 0.3, 0.7]}, r"labels must be 0 or 1: found 2 of 3 .* 0\.3 at index 1"),
    ({"labels": [0, 1, 2]}, r"labels must be 0 or 1: found 1 of 3 .* 2 at index 2"),
    ({"labels": [np.nan, 1, 0]}, r"labels must be 0 or 1: found 1 of 3 .* nan at index 0"),
    ({"probabilities": [0.1, 1.5, 0.2]}, r"probabilities must be in \[0, 1\]: .* 1\.5 at index 1"),
    ({"probabilities": [0.1, 0.2, np.nan]}, r"probabilities must be in \[0, 1\]: .* nan at"),
    ({"weights": [1.0, -2.0, 1.0]}, r"weights must be finite and at least 0: .* -2 at index 1"),
    ({"weights": [np.inf, 1.0, 1.0]}, r"weights must be finite and at least 0: .* inf at index 0"),
    ({"weights": [np.nan, 1.0, 1.0]}, r"weights must be finite and at least 0: .* nan at index 0"),
    ({"weights": [1.0]}, r"one shape \[n\], found .*'weights': \(1,\)"),
    ({"labels": [[0], [1], [0]]}, r"one shape \[n\], found .*'labels': \(3, 1\)"),
    ({"probabilities": 0.5, "labels": 1, "weights": 1}, r"one shape \[n\], found"),
  ],
)
def test_bad_inputs_are_refused_saying_what_was_found(metric, bad, message):
  arguments = {name: np.array(value) for name, value in {**GOOD, **bad}.items()}
  with pytest.raises(ValueError, match=message):
    metric(**arguments)
