"""Tests of `heavy_ranker.serving.rank_signature`: `serving_default` on repeated users, ordered."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker import load_config
from heavy_ranker.features import schema_widths
from heavy_ranker.model_check import check_model
from heavy_ranker.serving.rank_inputs import RankInput, rank_inputs
from heavy_ranker.serving.rank_signature import make_rank, split_inputs
from heavy_ranker.serving.warmup import make_request
from tests.heavy_ranker import id_run
from tests.heavy_ranker.serving.saved_module import make_module
from tests.heavy_ranker.small_run import assert_outputs_close, small_config
from tfrecords import paths

BAZEL_DATA = ["//configs:all"]

SPLIT = {"continuous": [1, "4-5"], "binary": ["0-2"]}


def _predict(inputs):
  """Tells each column of each input from every other."""
  columns = tf.concat([tf.cast(value, tf.float32) for value in inputs.values()], axis=1)
  return {"score": columns[:, 0], "probabilities": columns}


@st.composite
def _division(draw):
  widths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
  inputs = [
    RankInput(f"i{i}", width, tuple(c for c in range(width) if draw(st.booleans())))
    for i, width in enumerate(widths)
  ]
  return (*inputs, RankInput("last", 2))


@settings(max_examples=20, deadline=None)
@given(_division(), st.integers(1, 4), st.booleans())
def test_every_column_finds_its_place(inputs, count, is_int):
  dtype = tf.int64 if is_int else tf.float32
  rank = make_rank(_predict, inputs, {each.name: dtype for each in inputs})
  generator = np.random.default_rng(count)
  dense = {}
  for each in inputs:
    dense[each.name] = generator.integers(0, 1000, (count, each.width)).astype(dtype.name)
    dense[each.name][:, list(each.user_columns)] = dense[each.name][0, list(each.user_columns)]
  found = rank(**split_inputs(inputs, dense), k=0)
  expected = np.concatenate(list(dense.values()), axis=1)
  np.testing.assert_array_equal(found["probabilities"], expected)


def _order(scores, k=0):
  rank = make_rank(_predict, [RankInput("a", 1)], {"a": tf.float32})
  return rank(a=np.float32(scores).reshape(-1, 1), k=k)["order"].numpy().tolist()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 1.5, 1e30]), max_size=40), st.data())
def test_the_best_come_first_and_ties_as_they_came(scores, data):
  k = data.draw(st.integers(0, len(scores) + 2))
  expected = sorted(range(len(scores)), key=lambda position: -scores[position])
  assert _order(scores, k) == (expected[:k] if k else expected)


def test_many_ties():
  scores = np.random.default_rng(3).integers(0, 5, 3000)
  expected = np.argsort(-scores, kind="stable").tolist()
  for k in (0, 1, 7, 2999, 3000):
    assert _order(scores, k) == expected[: k or None]


def test_a_negative_k_is_an_error():
  with pytest.raises(tf.errors.InvalidArgumentError, match="k: found a negative number"):
    _order([1.0], -1)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
  """An export whose inputs are all floats, and one with ids, by name."""
  small, ids = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("ids")
  columns = {**SPLIT, "discrete": [id_run.DEVICE], "tags": [0]}
  rank = {"rank": {"user_columns": columns, "user_features": ["user_embedding"]}}
  return {
    "floats": make_module(small_config(small, f"export.rank.user_columns={SPLIT}")),
    "ids": make_module(id_run.id_config(ids, ("export", rank))),
  }


def _random_inputs(module, count):
  generator = np.random.default_rng(5)
  dense = {}
  for each in module.rank_inputs:
    dtype = module.input_dtypes[each.name].as_numpy_dtype
    values = generator.normal(0, 4, (count, each.width)).astype(dtype)
    if dtype == np.float32:
      values[generator.random(values.shape) < 0.05] = np.nan
      values[generator.random(values.shape) < 0.05] = np.inf
    values[:, list(each.user_columns)] = values[:1, list(each.user_columns)]
    dense[each.name] = values
  return dense


@pytest.mark.parametrize("name", ["floats", "ids"])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_rank_equals_serving_default(modules, name, count):
  module = modules[name]
  dense = _random_inputs(module, max(count, 1))
  ranked = {
    name: value[:count] if name in module.input_dtypes and name != "user_embedding" else value
    for name, value in split_inputs(module.rank_inputs, dense).items()
  }
  found = module.rank(**ranked, k=0)
  expected = module.serving_default(
    **{name: tf.constant(value[:count]) for name, value in dense.items()}
  )
  wanted = {output: expected[output] for output in ("score", "probabilities")}
  assert_outputs_close(found, wanted)
  assert np.isfinite(found["score"]).all()
  assert len(set(found["score"].numpy())) == count
  order = np.argsort(-found["score"].numpy(), kind="stable")
  assert found["order"].dtype == tf.int32
  np.testing.assert_array_equal(found["order"], order)
  np.testing.assert_array_equal(module.rank(**ranked, k=2)["order"], order[:2])


def test_one_user_only(modules):
  dense = _random_inputs(modules["floats"], 3)
  ranked = split_inputs(modules["floats"].rank_inputs, dense)
  assert ranked["user_continuous"].shape == (1, 3)
  two = {**ranked, "user_continuous": np.zeros([2, 3], np.float32)}
  with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError)):
    modules["floats"].rank(**two, k=0)
  fewer = {**ranked, "binary": ranked["binary"][:2]}
  with pytest.raises(tf.errors.InvalidArgumentError):
    modules["floats"].rank(**fewer, k=0)


def _request_megabytes(*overrides):
  """Sizes of requests of 1500 production candidates: to `serving_default` and to `rank`."""
  path = f"{paths.workspace_directory()}/configs/local_prod.yaml"
  config = load_config(path, overrides)
  widths = schema_widths(config)
  widths = {name: widths[name] for name in check_model(config, widths)}
  dense = {name: np.ones([1500, width], np.float32) for name, width in widths.items()}
  ranked = split_inputs(rank_inputs(config, widths), dense)
  return tuple(
    round(make_request(signature, inputs).ByteSize() / 1e6, 1)
    for signature, inputs in (("serving_default", dense), ("rank", ranked))
  )


def test_what_production_requests_shrink_to():
  assert _request_megabytes() == (16.7, 14.3)
  assert _request_megabytes('export.rank.user_columns.continuous=["0-999"]') == (16.7, 8.3)
