"""Dense layers that do the work of batch norms: the same outputs without them."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.checkpoints import weights_by_name
from heavy_ranker.model import build_model
from heavy_ranker.serving.folded_batch_norm import fold_batch_norms
from tests.heavy_ranker.example_config import TASKS, WIDTHS, build_config

BAZEL_SIZE = "medium"
_NORM = {"affine": True, "momentum": 0.1}
_MLP = {"layer_sizes": [6, 5, 4], "batch_norm": _NORM}


def _randomize(ranker):
  """Gives every weight a value of its own; variances, and only they, have to be positive."""
  generator = np.random.default_rng(0)
  for name, weight in weights_by_name(ranker).items():
    values = generator.standard_normal(weight.shape)
    if weight.dtype.is_floating:
      weight.assign(np.abs(values) + 0.1 if name.endswith("variance") else values)


def _inputs():
  generator = np.random.default_rng(1)
  values = {name: generator.standard_normal((9, width)) for name, width in WIDTHS.items()}
  return {name: tf.constant(each, tf.float32) for name, each in values.items()}


@pytest.mark.parametrize(
  "backbone",
  [
    None,
    {"mlp_config": _MLP},
    {"dcn_config": {"poly_degree": 1, "parallel_mlp": _MLP, "output_mlp": _MLP}},
    {"mmoe_config": {"num_experts": 2, "expert": {"mlp_config": _MLP}}},
  ],
  ids=["mask_net", "mlp", "dcn", "mmoe"],
)
def test_outputs_stay(backbone):
  changes = [] if backbone is None else [("model", "backbone", backbone)]
  config = build_config(changes)
  ranker = build_model(config, WIDTHS)
  _randomize(ranker)
  folded = fold_batch_norms(config, ranker, input_widths=WIDTHS)
  inputs = _inputs()
  outputs, expected = folded(inputs), ranker(inputs)
  assert outputs.keys() == expected.keys()
  for name, tensor in expected.items():
    np.testing.assert_allclose(outputs[name], tensor, rtol=2e-5, atol=1e-5, err_msg=name)
  names, before = weights_by_name(folded).keys(), weights_by_name(ranker).keys()
  assert not [name for name in names if "/batch_norm_" in name]
  assert names | {name for name in before if "/batch_norm_" in name} == before
  assert [name for name in names if name.startswith("featurization/batch_norm/")]


def test_a_ranker_without_batch_norms_stays_as_it_is():
  towers = {task: {"mlp_config": {"layer_sizes": [3, 1]}} for task in TASKS}
  config = build_config([("model", "tasks", towers)])
  ranker = build_model(config, WIDTHS)
  assert fold_batch_norms(config, ranker, input_widths=WIDTHS) is ranker


def test_the_ranker_itself_is_not_changed():
  config = build_config()
  ranker = build_model(config, WIDTHS)
  _randomize(ranker)
  before = [weight.numpy() for weight in ranker.weights]
  fold_batch_norms(config, ranker, input_widths=WIDTHS)
  for weight, values in zip(ranker.weights, before):
    np.testing.assert_array_equal(weight, values)
