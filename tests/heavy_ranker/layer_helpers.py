"""What the layers' tests share: running a layer in every way, and its weights for NumPy."""

import numpy as np
import tensorflow as tf

from tests.heavy_ranker import numpy_twins


def randomize(layer, seed=0):
  """Gives a built layer weights that no initializer gives, so that each of them matters."""
  random = np.random.default_rng(seed)
  for variable in layer.variables:
    if not variable.dtype.is_floating:
      continue
    values = random.normal(0.0, 0.5, variable.shape)
    if "variance" in variable.name:
      values = np.abs(values) + 0.2
    elif "gamma" in variable.name:
      values += 1.0
    variable.assign(values)


def run(layer, inputs, **kwargs):
  """Runs a layer eagerly and, from the same state, as a function of unknown batch size.

  Checks that both agree and that values, dtypes and what they leave in the layer's variables are
  the same; returns the values. In inference the function is also called with other batch sizes.
  """
  inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
  layer(inputs)  # Builds it; inference changes nothing.
  before = [variable.numpy() for variable in layer.variables]
  eager = layer(inputs, **kwargs)
  after = [variable.numpy() for variable in layer.variables]
  assign(layer, before)

  spec = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), inputs)
  function = tf.function(lambda x: layer(x, **kwargs), input_signature=[spec], autograph=False)
  graph = function(inputs)
  assert graph.dtype == eager.dtype == tf.float32
  assert graph.shape == eager.shape
  assert function.get_concrete_function().structured_outputs.shape[0] is None
  # Not to the last bits: operations of a graph are fused where the CPU has a kernel for it.
  np.testing.assert_allclose(graph, eager, rtol=1e-5, atol=1e-5)
  for variable, value in zip(layer.variables, after):
    np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-5)
  if not kwargs.get("training"):
    for size in (1, 0):
      part = function(tf.nest.map_structure(lambda x, size=size: x[:size], inputs))
      np.testing.assert_allclose(part, eager[:size], rtol=1e-5, atol=1e-5)
  return eager.numpy()


def run_function(function, values):
  """What `run` does, for a function without variables."""
  values = tf.convert_to_tensor(values)
  eager = function(values)
  spec = tf.TensorSpec([None, *values.shape[1:]], values.dtype)
  graph = tf.function(function, input_signature=[spec], autograph=False)(values)
  assert graph.dtype == eager.dtype == values.dtype
  assert graph.shape == eager.shape == values.shape
  np.testing.assert_allclose(graph, eager, rtol=1e-6)
  return eager.numpy()


def assign(layer, values):
  for variable, value in zip(layer.variables, values):
    variable.assign(value)


def gradients(layer, inputs, seed=0, **kwargs):
  """The gradients of a random projection of the outputs: of the inputs, then of each weight."""
  inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = layer(inputs, **kwargs)
    projection = np.random.default_rng(seed).normal(size=outputs.shape).astype(np.float32)
    total = tf.reduce_sum(outputs * projection)
  found = tape.gradient(total, [*tf.nest.flatten(inputs), *layer.trainable_variables])
  return [gradient.numpy() for gradient in found], projection


def function_gradient(function, values):
  """The gradient of the sum of a function's outputs."""
  values = tf.convert_to_tensor(values)
  with tf.GradientTape() as tape:
    tape.watch(values)
    total = tf.reduce_sum(function(values))
  return tape.gradient(total, values).numpy()


def differences(function, values, relative_step=1e-5):
  """The gradient of a float64 function by central differences, element by element."""
  values = np.asarray(values, np.float64)
  gradient = np.zeros_like(values)
  for index in np.ndindex(values.shape):
    step = relative_step * max(np.abs(values[index]), np.ptp(values[index[:-1]]), 1e-6)
    moved = [values.copy(), values.copy()]
    moved[0][index] += step
    moved[1][index] -= step
    gradient[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
  return gradient


def dense_weights(layer):
  return {"kernel": float64(layer.kernel), "bias": float64(layer.bias)}


def norm_weights(layer):
  weights = {"gamma": float64(layer.gamma), "beta": float64(layer.beta)}
  if hasattr(layer, "moving_mean"):
    weights.update(mean=float64(layer.moving_mean), variance=float64(layer.moving_variance))
  return weights


def mlp_weights(layer):
  weights = [dense_weights(dense) for dense in layer.dense_layers]
  for dense, norm in zip(weights, layer.batch_norms):
    dense["batch_norm"] = None if norm is None else norm_weights(norm)
  return weights


def mask_block_weights(block):
  return {
    "aggregation": dense_weights(block.aggregation),
    "mask": dense_weights(block.mask),
    "hidden": dense_weights(block.hidden),
    "output_norm": norm_weights(block.output_norm),
    "input_norm": None if block.input_norm is None else norm_weights(block.input_norm),
  }


def gate_weights(gates):
  """The dense layers of each gate."""
  return [
    [{"kernel": float64(kernel), "bias": float64(bias)} for kernel, bias in zip(kernels, biases)]
    for kernels, biases in zip(zip(*gates.kernels), zip(*gates.biases))
  ]


def mlp_experts(experts):
  """Each of an Experts' MLPs as a function in NumPy."""
  return [
    lambda inputs, mlp=mlp: numpy_twins.mlp(
      inputs, mlp_weights(mlp), mlp.config.final_layer_activation
    )
    for mlp in experts.experts
  ]


def float64(variable):
  return None if variable is None else variable.numpy().astype(np.float64)
