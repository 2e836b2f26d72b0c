"""Tests of `heavy_ranker.reference_weights`."""

import re

import numpy as np
import pytest

from heavy_ranker import build_model, load_reference_weights
from heavy_ranker.layers.tower import tower_name
from tests.heavy_ranker import example_config

BLOCK = "_backbone._mask_blocks.0"
REPORTS = "_towers.area__reports.layers"


@pytest.fixture(scope="module", name="model")
def model_fixture():
  block = {"output_size": 4, "aggregation_size": 5, "input_layer_norm": True}
  mlp = {"layer_sizes": [6, 7], "batch_norm": {}, "dropout": {}}
  config = {"mask_blocks": [block, {**block, "input_layer_norm": False}], "mlp": mlp}
  changes = [("model", "backbone", {"mask_net_config": config})]
  return build_model(example_config.build_config(changes), example_config.WIDTHS)


@pytest.fixture(name="arrays")
def arrays_fixture():
  """The names and shapes that PyTorch's modules give to this architecture."""
  shapes = {}

  def linear(name, inputs, outputs):
    shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

  def norm(name, width, running=False, affine=True):
    if affine:
      shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (width,), (width,)
    if running:
      shapes[f"{name}.running_mean"], shapes[f"{name}.running_var"] = (width,), (width,)

  norm("_preprocessor._before_concat_layers.2.layer", 7, running=True)
  norm("_preprocessor.layer_norm.layer", 10)
  norm("_user_embedding_layer_norm", 4)
  norm("_user_eng_embedding_layer_norm", 5)
  norm("_author_embedding_layer_norm", 6)
  for index, width in enumerate((25, 4)):
    block = f"_backbone._mask_blocks.{index}"
    linear(f"{block}._mask_layer.0", 25, 5)
    linear(f"{block}._mask_layer.2", 5, width)
    linear(f"{block}._hidden_layer", width, 4)
    norm(f"{block}._layer_norm", 4)
  norm(f"{BLOCK}._input_layer_norm", 25)
  # Dense, batch norm, ReLU, dropout, dense.
  linear("_backbone._dense_layers.layers.0", 4, 6)
  norm("_backbone._dense_layers.layers.1", 6, running=True)
  linear("_backbone._dense_layers.layers.4", 6, 7)
  for task, step, affine in (
    ("likes", 3, False),
    ("area__replies", 3, False),
    ("area__reports", 4, True),
  ):
    for index, (inputs, outputs) in enumerate(((7, 5), (5, 3), (3, 1))):
      linear(f"_towers.{task}.layers.{index * step}", inputs, outputs)
      if outputs > 1:
        norm(f"_towers.{task}.layers.{index * step + 1}", outputs, running=True, affine=affine)
  linear("_towers.area__replies_long.layers.0", 7, 1)
  shapes["_affine_maps.area__replies.weight"] = (1, 1)
  shapes["_affine_maps.area__replies.bias"] = (1,)
  random = np.random.default_rng(0)
  return {name: random.normal(size=shape).astype("f") for name, shape in shapes.items()}


def values_of(model):
  return [variable.numpy() for variable in model.variables]


def assert_unchanged(model, before):
  for variable, value in zip(model.variables, before):
    np.testing.assert_array_equal(variable, value)


def test_loads_every_weight_and_running_statistic(model, arrays):
  load_reference_weights(model, arrays)
  counters = [variable for variable in model.variables if not variable.dtype.is_floating]
  assert len(arrays) == len(model.variables) - len(counters)
  backbone = model.get_layer("backbone")
  block = backbone.blocks[0]
  reports = model.get_layer(tower_name("area.reports")).body
  affine_map = model.get_layer(tower_name("area.replies")).affine_map
  for variable, name in (
    (block.aggregation.kernel, f"{BLOCK}._mask_layer.0.weight"),
    (block.mask.kernel, f"{BLOCK}._mask_layer.2.weight"),
    (block.hidden.bias, f"{BLOCK}._hidden_layer.bias"),
    (block.output_norm.gamma, f"{BLOCK}._layer_norm.weight"),
    (block.input_norm.beta, f"{BLOCK}._input_layer_norm.bias"),
    (backbone.mlp.dense_layers[1].kernel, "_backbone._dense_layers.layers.4.weight"),
    (reports.dense_layers[1].kernel, f"{REPORTS}.4.weight"),
    (reports.batch_norms[0].gamma, f"{REPORTS}.1.weight"),
    (reports.batch_norms[0].moving_mean, f"{REPORTS}.1.running_mean"),
    (reports.batch_norms[1].moving_variance, f"{REPORTS}.5.running_var"),
    (affine_map.scale, "_affine_maps.area__replies.weight"),
    (affine_map.bias, "_affine_maps.area__replies.bias"),
    (
      model.get_layer("author_embedding_norm").layer_norm.gamma,
      "_author_embedding_layer_norm.weight",
    ),
  ):
    np.testing.assert_array_equal(variable.numpy(), arrays[name].T, err_msg=name)


def test_takes_float64(model, arrays):
  load_reference_weights(model, {name: x.astype(np.float64) for name, x in arrays.items()})
  norm = model.get_layer("user_embedding_norm").layer_norm
  np.testing.assert_array_equal(norm.beta, arrays["_user_embedding_layer_norm.bias"])


def test_ignores_what_is_no_weight(model, arrays):
  extra = {
    f"{REPORTS}.1.num_batches_tracked": np.array(3),
    "_preprocessor._before_concat_layers.3.min_value": np.array(-5.0),
    "_preprocessor._before_concat_layers.3.max_value": np.array(5.0),
    "_calibrators.likes.ratio": np.array(0.5),
  }
  load_reference_weights(model, {**arrays, **extra})


def test_names_every_array_that_does_not_fit_and_changes_nothing(model, arrays):
  before = values_of(model)
  arrays = {name: x + 1 for name, x in arrays.items()}  # Not what the model already holds.
  missing = [
    f"{BLOCK}._hidden_layer.weight",
    "_affine_maps.area__replies.bias",
    f"{REPORTS}.5.running_var",
  ]
  for name in missing:
    del arrays[name]
  arrays["_towers.unknown.layers.0.weight"] = np.zeros([1, 7])
  arrays["_towers.area__replies_long.layers.3.bias"] = np.zeros([1])
  arrays["_backbone._dense_layers.layers.0.weight"] = np.zeros([4, 6])
  arrays["_user_embedding_layer_norm.bias"] = np.zeros([5])
  arrays[f"{REPORTS}.8.bias"] = np.zeros([])
  with pytest.raises(ValueError) as error:
    load_reference_weights(model, arrays)
  assert sorted(line.strip() for line in str(error.value).splitlines()[1:]) == sorted(
    [f"missing: {name}" for name in missing]
    + [
      "left over: _towers.unknown.layers.0.weight",
      "left over: _towers.area__replies_long.layers.3.bias",
      "wrong shape: _backbone._dense_layers.layers.0.weight: found (4, 6), allowed: (6, 4)",
      "wrong shape: _user_embedding_layer_norm.bias: found (5,), allowed: (4,)",
      f"wrong shape: {REPORTS}.8.bias: found (), allowed: (1,)",
    ]
  )
  assert_unchanged(model, before)


@pytest.mark.parametrize("kind", ["missing", "left over", "wrong shape"])
def test_one_problem_is_enough(model, arrays, kind):
  before = values_of(model)
  arrays = {name: x + 1 for name, x in arrays.items()}
  if kind == "missing":
    del arrays[f"{BLOCK}._layer_norm.bias"]
  elif kind == "left over":
    arrays["extra"] = np.zeros(1)
  else:
    arrays[f"{BLOCK}._layer_norm.bias"] = np.zeros([4, 1])
  with pytest.raises(ValueError, match=re.escape(kind)):
    load_reference_weights(model, arrays)
  assert_unchanged(model, before)


def test_an_mlp_backbone_and_none(arrays):
  mlp = {"mlp_config": {"layer_sizes": [4, 3], "batch_norm": {"affine": False}}}
  model = build_model(
    example_config.build_config([("model", "backbone", mlp)]), example_config.WIDTHS
  )
  with pytest.raises(ValueError, match=r"missing: _backbone\.layers\.0\.weight") as error:
    load_reference_weights(model, {})
  assert "missing: _backbone.layers.3.bias" in str(error.value)
  assert "missing: _backbone.layers.1.running_mean" in str(error.value)

  changes = [("model", "backbone", None), ("model", "multi_task_type", "share_none")]
  model = build_model(example_config.build_config(changes), example_config.WIDTHS)
  with pytest.raises(ValueError, match="missing") as error:
    load_reference_weights(model, {})
  assert "_backbone" not in str(error.value)
