"""Tests of planted records: their features, their teacher, their labels."""

import numpy as np
import pytest

from tfrecords import paths
from tfrecords.config.data import load_data_config
from tfrecords.parsing import make_parser
from tfrecords.planted_records import (
  PROBABILITY_PREFIX,
  PlantedRecords,
  teacher_probabilities_features,
)
from tfrecords.planted_teacher import (
  DEFAULT_POSITIVE_RATE,
  NEGATIVE_TASKS,
  POSITIVE_RATES,
  Teacher,
)
from tfrecords.planted_world import CANDIDATES_PER_USER, PlantedWorld
from tfrecords.schema import Feature, features_of
from tfrecords.serialization import serialize

BAZEL_DATA = ["//configs:all"]

N_BLOCKS = 40
FAVORITED = "recap.engagement.is_favorited"
REPORT = "recap.engagement.is_report_tweet_clicked"


@pytest.fixture(scope="module", name="features")
def fixture_features():
  config = load_data_config(f"{paths.package_root()}/configs/demo.yaml")
  return {feature.record_name: feature for feature in features_of(config).values()}


@pytest.fixture(scope="module", name="records")
def fixture_records(features):
  return PlantedRecords(features, list(POSITIVE_RATES), seed=1, write_probabilities=True)


@pytest.fixture(scope="module", name="columns")
def fixture_columns(records):
  blocks = [records.block(index) for index in range(N_BLOCKS)]
  return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _by_model_name(columns, features):
  return {feature.name: columns[name] for name, feature in features.items()}


def _without_labels_but(features, task):
  return {name: f for name, f in features.items() if name not in POSITIVE_RATES or name == task}


def _auc(labels, scores):
  ranks = np.argsort(np.argsort(scores)) + 1
  positives = labels.sum()
  u = ranks[labels == 1].sum() - positives * (positives + 1) / 2
  return u / (positives * (len(labels) - positives))


def test_shapes_and_dtypes(records, columns, features):
  dtypes = {"int64_list": np.int64, "float_list": np.float32}
  rows = N_BLOCKS * records.block_size
  assert (
    set(columns)
    == set(records.features)
    == set(features) | {f"{PROBABILITY_PREFIX}{task}" for task in POSITIVE_RATES}
  )
  for name, feature in records.features.items():
    assert columns[name].shape == (rows, feature.length)
    assert columns[name].dtype == dtypes[feature.dtype]


def test_labels_and_binary_features_are_0_or_1(columns, features):
  for name, feature in features.items():
    if feature.name == "binary" or name in POSITIVE_RATES:
      assert set(np.unique(columns[name])) == {0, 1}


def test_continuous_features_are_heavy_tailed_counts(columns, features):
  continuous = _by_model_name(columns, features)["continuous"]
  assert np.isfinite(continuous).all()
  non_negative = (continuous >= 0).all(axis=0)
  assert 0.7 < non_negative.mean() < 1
  counts = continuous[:, non_negative]
  assert (counts.mean(axis=0) > np.median(counts, axis=0)).all()
  zero_share = (counts == 0).mean(axis=0)
  assert zero_share.max() > 0.3 and zero_share.min() < 0.05
  assert (np.log1p(np.abs(continuous)).std(axis=0) > 0.1).all()


def test_candidates_of_a_user_follow_one_another(columns, features):
  by_name = _by_model_name(columns, features)
  for name in ("meta__user_id", "user_embedding", "user_eng_embedding"):
    values = by_name[name].reshape(-1, CANDIDATES_PER_USER, by_name[name].shape[1])
    assert (values == values[:, :1]).all()
    assert len(np.unique(values[:, 0], axis=0)) == len(values)
  assert len(np.unique(by_name["meta__tweet_id"])) == len(by_name["meta__tweet_id"])
  assert min(by_name[f"meta__{of}_id"].min() for of in ("user", "author", "tweet")) > 0


def test_an_author_has_one_embedding_in_every_data_set(columns, features):
  other = PlantedRecords(features, list(POSITIVE_RATES), seed=2).block(0)
  embedding_of = {}
  for rows in (columns, other):
    by_name = _by_model_name(rows, features)
    for author, embedding in zip(by_name["meta__author_id"][:, 0], by_name["author_embedding"]):
      assert np.array_equal(embedding_of.setdefault(author, embedding), embedding)


@pytest.mark.parametrize("task", POSITIVE_RATES)
def test_positive_rates_are_near_the_stated_ones(columns, task):
  probabilities = columns[f"{PROBABILITY_PREFIX}{task}"].astype(np.float64)[:, 0]
  # The rows of a user are alike: 12 % allows for that at 1280 users.
  assert probabilities.mean() == pytest.approx(POSITIVE_RATES[task], rel=0.12)


@pytest.mark.parametrize("task", POSITIVE_RATES)
def test_labels_follow_the_probabilities(columns, task):
  probabilities = columns[f"{PROBABILITY_PREFIX}{task}"].astype(np.float64)[:, 0]
  labels = columns[task][:, 0]
  assert probabilities.min() > 0 and probabilities.max() < 1
  for chosen in np.array_split(np.argsort(probabilities), 5):
    expected = probabilities[chosen].sum()
    deviation = np.sqrt((probabilities[chosen] * (1 - probabilities[chosen])).sum())
    assert abs(labels[chosen].sum() - expected) < 5 * max(deviation, 1.0)
  assert 0.75 < _auc(labels, probabilities) < 0.97


def test_what_makes_a_like_likely_makes_a_report_unlikely(columns):
  logits = {
    task: np.log(p / (1 - p))
    for task in POSITIVE_RATES
    for p in [columns[f"{PROBABILITY_PREFIX}{task}"].astype(np.float64)[:, 0]]
  }
  for task in POSITIVE_RATES:
    correlation = np.corrcoef(logits[FAVORITED], logits[task])[0, 1]
    assert correlation < -0.7 if task in NEGATIVE_TASKS else correlation > 0.7
    assert task == FAVORITED or abs(correlation) < 0.999


def test_the_teacher_sees_what_the_records_hold(records, columns, features):
  by_name = _by_model_name({name: columns[name] for name in features}, features)
  by_name["continuous"] = by_name["continuous"][:, :16]
  probabilities = records.teacher.probabilities(by_name)
  for task, expected in zip(records.teacher.tasks, probabilities.T):
    written = columns[f"{PROBABILITY_PREFIX}{task}"][:, 0]
    np.testing.assert_allclose(written, expected, rtol=1e-6)


def test_a_task_keeps_its_labels_when_others_come_and_go(features, columns):
  few = _without_labels_but(features, REPORT)
  block = PlantedRecords(few, [REPORT], seed=1).block(0)
  assert set(block) == set(few)
  for name, rows in block.items():
    np.testing.assert_array_equal(rows, columns[name][: len(rows)])


def test_seeds(features, columns):
  every, features = features, _without_labels_but(features, FAVORITED)
  same = PlantedRecords(features, [FAVORITED], seed=1).block(1)
  other_examples = PlantedRecords(features, [FAVORITED], seed=2)
  other_teacher = PlantedRecords(features, [FAVORITED], seed=1, teacher_seed=1)
  size = len(same[FAVORITED])
  for name, rows in same.items():
    np.testing.assert_array_equal(rows, columns[name][size : 2 * size])
    assert not np.array_equal(rows, other_examples.block(1)[name])
  assert not np.array_equal(same[FAVORITED], other_teacher.block(1)[FAVORITED])
  by_name = _by_model_name({name: columns[name] for name in every}, every)
  first = PlantedRecords(features, [FAVORITED], seed=1).teacher.logits(by_name)
  np.testing.assert_array_equal(other_examples.teacher.logits(by_name), first)
  assert not np.allclose(other_teacher.teacher.logits(by_name), first)


def test_probabilities_parse(records):
  tasks = [FAVORITED, REPORT]
  probabilities = teacher_probabilities_features(tasks)
  assert probabilities[f"planted.probability.{FAVORITED}"].length == 1
  block = {name: rows[:5] for name, rows in records.block(0).items()}
  serialized = list(serialize(block, records.features))
  parsed = make_parser(probabilities)(serialized, ["name"] * 5)
  assert set(parsed) == set(probabilities)
  for name, tensor in parsed.items():
    np.testing.assert_array_equal(tensor.numpy(), block[name])


@pytest.mark.parametrize(
  "inputs",
  [
    [],
    [Feature("codes", "discrete", "int64_list", 4)],
    [Feature("dense", "continuous", "float_list", 3)],
    [Feature("bits", "binary", "float_list", 600)],
    [
      Feature("u", "user_embedding", "float_list", 6),
      Feature("a", "author_embedding", "float_list", 9),
    ],
    [
      Feature("dense", "continuous", "float_list", -1),
      Feature("bits", "binary", "bytes_list", 2),
      Feature("a", "author_embedding", "float_list", 9),
      Feature("id", "meta__user_id", "int64_list", 2),
    ],
  ],
)
def test_any_schema(inputs):
  tasks = ["some.label", FAVORITED]
  every = [*inputs, *(Feature(task, task, "int64_list", 1) for task in tasks)]
  features = {feature.record_name: feature for feature in every}
  records = PlantedRecords(features, tasks, seed=0, write_probabilities=True)
  block = records.block(0)
  for name, feature in records.features.items():
    assert len(block[name]) == records.block_size
    assert block[name][0].dtype == feature.tensor_dtype.as_numpy_dtype or feature.dtype == (
      "bytes_list"
    )
  assert len(list(serialize(block, records.features))) == records.block_size
  for task, rate in ((tasks[0], DEFAULT_POSITIVE_RATE), (FAVORITED, POSITIVE_RATES[FAVORITED])):
    assert block[f"{PROBABILITY_PREFIX}{task}"].mean() == pytest.approx(rate, rel=0.5)


def test_columns_no_label_depends_on_can_be_left_out():
  features = {
    "continuous": Feature("c", "continuous", "float_list", 40),
    "binary": Feature("b", "binary", "int64_list", 40),
  }
  world = PlantedWorld(features, teacher_seed=0)

  def streams(name):
    return np.random.default_rng(len(name))

  every, informative = world.draw(streams, 3), world.draw(streams, 3, informative_only=True)
  for name in features:
    assert informative[name].shape[1] < every[name].shape[1] == 40
    np.testing.assert_array_equal(every[name][:, : informative[name].shape[1]], informative[name])
  teacher = Teacher(world, [FAVORITED], teacher_seed=0)
  np.testing.assert_array_equal(teacher.logits(every), teacher.logits(informative))
