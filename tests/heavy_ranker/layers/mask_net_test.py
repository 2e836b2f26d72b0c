"""Tests of `heavy_ranker.layers.mask_net`."""

import numpy as np
import pytest

from heavy_ranker.config.model import MaskBlockConfig, MaskNetConfig
from heavy_ranker.layers.mask_net import MaskBlock, MaskNet
from tests.heavy_ranker import layer_helpers, numpy_twins

BLOCKS = (
  {"output_size": 4, "aggregation_size": 6},
  {"output_size": 5, "reduction_factor": 0.4, "input_layer_norm": True},
  {"output_size": 3, "aggregation_size": 2},
)
MLP = {"layer_sizes": [6, 2], "batch_norm": {"affine": True, "momentum": 0.1}}


@pytest.fixture(name="inputs")
def inputs_fixture():
  return np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)


def make_block(inputs, randomize=True, seed=0, **config):
  block = MaskBlock(MaskBlockConfig(**config), seed)
  block(inputs)
  if randomize:
    layer_helpers.randomize(block)
  return block


def make_net(inputs, blocks=BLOCKS, randomize=True, seed=0, **config):
  net = MaskNet(MaskNetConfig(mask_blocks=list(blocks), **config), seed)
  net(inputs)
  if randomize:
    layer_helpers.randomize(net)
  return net


@pytest.mark.parametrize("input_layer_norm", [True, False])
def test_block_equals_numpy(inputs, input_layer_norm):
  net, mask_input = inputs[:, :3], inputs
  block = make_block(
    (net, mask_input), output_size=5, aggregation_size=4, input_layer_norm=input_layer_norm
  )
  weights = layer_helpers.mask_block_weights(block)
  assert (weights["input_norm"] is not None) == input_layer_norm
  expected = numpy_twins.mask_block(net, mask_input, weights)
  outputs = layer_helpers.run(block, (net, mask_input))
  assert outputs.shape == (9, 5)
  np.testing.assert_allclose(outputs, expected, atol=2e-5)


def test_block_ends_in_the_layer_norm_without_activation(inputs):
  block = make_block((inputs, inputs), randomize=False, output_size=50, aggregation_size=4)
  outputs = block((inputs, inputs)).numpy()
  assert (outputs < 0).any()
  np.testing.assert_allclose(outputs.mean(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize(
  "factor, aggregation_size", [(0.5, 4), (0.49, 3), (2.0, 16), (1.0, 8), (0.01, 1)]
)
def test_reduction_factor_is_a_share_of_the_mask_inputs_width(inputs, factor, aggregation_size):
  block = make_block((inputs[:, :3], inputs), output_size=5, reduction_factor=factor)
  assert block.aggregation.kernel.shape == (8, aggregation_size)
  assert block.mask.kernel.shape == (aggregation_size, 3)
  assert block.hidden.kernel.shape == (3, 5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mlp", [None, MLP], ids=["without_mlp", "with_mlp"])
@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "serial"])
def test_equals_numpy(inputs, parallel, mlp, training):
  layer = make_net(inputs, use_parallel=parallel, mlp=mlp)
  blocks = [layer_helpers.mask_block_weights(block) for block in layer.blocks]
  mlp_weights = None if mlp is None else layer_helpers.mlp_weights(layer.mlp)
  options = {} if mlp is None else {"training": training}
  expected = numpy_twins.mask_net(inputs, blocks, parallel, mlp_weights, **options)
  outputs = layer_helpers.run(layer, inputs, training=training)
  assert outputs.shape == (9, 2 if mlp else 4 + 5 + 3 if parallel else 3)
  np.testing.assert_allclose(outputs, expected, atol=5e-5)


def test_serial_is_the_default(inputs):
  assert make_net(inputs)(inputs).shape == (9, 3)


def test_serial_masks_come_from_the_input_and_not_from_the_block_before(inputs):
  layer = make_net(inputs, use_parallel=False)
  assert [block.aggregation.kernel.shape[0] for block in layer.blocks] == [8, 8, 8]
  assert [block.hidden.kernel.shape[0] for block in layer.blocks] == [8, 4, 5]


def test_the_mlps_final_activation_is_the_networks(inputs):
  mlp = {"layer_sizes": [20], "final_layer_activation": True}
  outputs = make_net(inputs, mlp=mlp, use_parallel=True)(inputs).numpy()
  assert outputs.min() == 0
  assert outputs.max() > 0


def test_blocks_of_one_shape_start_differently_and_repeatably(inputs):
  blocks = [BLOCKS[0]] * 3
  first, second, other = (
    make_net(inputs, blocks, randomize=False, seed=seed, use_parallel=True) for seed in (1, 1, 2)
  )
  for index, block in enumerate(first.blocks):
    for name in ("aggregation", "mask", "hidden"):
      kernel = getattr(block, name).kernel.numpy()
      np.testing.assert_array_equal(getattr(second.blocks[index], name).kernel, kernel)
      assert (getattr(other.blocks[index], name).kernel.numpy() != kernel).all()
      assert (getattr(first.blocks[index - 1], name).kernel.numpy() != kernel).all()


@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "serial"])
def test_every_weight_gets_a_gradient(inputs, parallel):
  layer = make_net(inputs, mlp={"layer_sizes": [30, 2]}, use_parallel=parallel)
  found, _ = layer_helpers.gradients(layer, inputs, training=True)
  assert len(found) == 1 + 3 * 8 + 2 + 2 * 2
  for gradient in found:
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 1e-6


def test_a_row_of_zeros_is_finite(inputs):
  layer = make_net(inputs, use_parallel=True)
  outputs = layer(np.zeros([2, 8], np.float32)).numpy()
  assert np.isfinite(outputs).all()
