"""The network once more, in float64 NumPy and as plainly as the formulas read.

Layers are functions of their inputs and weights. A dense layer's weights are a dict with `kernel`
[in, out] and `bias`; a norm's are a dict with `gamma` and `beta`, either of which may be None; a
batch norm's also hold `mean` and `variance`, the running statistics.
"""

import bisect
import math

import numpy as np

BATCH_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-5


def replace_non_finite(values):
  return np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def make_safe(values):
  return np.clip(replace_non_finite(values), -1e18, 1e18)


def signed_log1p(values):
  values = np.asarray(values, np.float64)
  return np.sign(values) * np.log1p(np.abs(values))


def sigmoid(logits):
  logits = np.asarray(logits, np.float64)
  return np.where(logits >= 0, 1.0, np.exp(-np.abs(logits))) / (1.0 + np.exp(-np.abs(logits)))


def relu(values):
  return np.maximum(values, 0.0)


def dense(inputs, weights):
  return np.asarray(inputs, np.float64) @ weights["kernel"] + weights["bias"]


def layer_normalization(inputs, weights, epsilon=LAYER_NORM_EPSILON):
  inputs = np.asarray(inputs, np.float64)
  outputs = np.zeros_like(inputs)
  for index in np.ndindex(inputs.shape[:-1]):
    row = inputs[index]
    if epsilon > 0.0 or np.ptp(row) > 0.0:
      outputs[index] = (row - row.mean()) / math.sqrt(row.var() + epsilon)
  return _scale_and_shift(outputs, weights)


def batch_normalization(inputs, weights, training=False):
  inputs = np.asarray(inputs, np.float64)
  mean, variance = weights["mean"], weights["variance"]
  if training:
    mean, variance = inputs.mean(axis=0), inputs.var(axis=0)
  return _scale_and_shift((inputs - mean) / np.sqrt(variance + BATCH_NORM_EPSILON), weights)


def batch_renormalization(inputs, weights, updates):
  """A training step's outputs after so many updates, bounds of r and d as in the paper."""
  inputs = np.asarray(inputs, np.float64)
  r_max = np.interp(updates, [5_000, 40_000], [1.0, 3.0])
  d_max = np.interp(updates, [5_000, 25_000], [0.0, 5.0])
  deviation = np.sqrt(inputs.var(axis=0) + BATCH_NORM_EPSILON)
  running = np.sqrt(weights["variance"] + BATCH_NORM_EPSILON)
  r = np.clip(deviation / running, 1 / r_max, r_max)
  d = np.clip((inputs.mean(axis=0) - weights["mean"]) / running, -d_max, d_max)
  return _scale_and_shift((inputs - inputs.mean(axis=0)) / deviation * r + d, weights)


def moved_statistics(inputs, weights, momentum):
  """The running mean and variance after one training step on `inputs`."""
  inputs = np.asarray(inputs, np.float64)
  mean = (1 - momentum) * weights["mean"] + momentum * inputs.mean(axis=0)
  variance = (1 - momentum) * weights["variance"] + momentum * inputs.var(axis=0, ddof=1)
  return mean, variance


def _scale_and_shift(values, weights):
  if weights.get("gamma") is not None:
    values = values * weights["gamma"]
  if weights.get("beta") is not None:
    values = values + weights["beta"]
  return values


def affine_map(logits, scale, bias):
  return np.asarray(logits, np.float64) * scale + bias


def mlp(inputs, weights, final_activation=False, training=False):
  """An MLP without dropout.

  Args:
    weights: a dense layer each; all but the last may hold a batch norm under `batch_norm`.
  """
  net = inputs
  for layer in weights[:-1]:
    net = dense(net, layer)
    if layer.get("batch_norm") is not None:
      net = batch_normalization(net, layer["batch_norm"], training)
    net = relu(net)
  net = dense(net, weights[-1])
  return relu(net) if final_activation else net


def mask_block(net, mask_input, weights):
  if weights.get("input_norm") is not None:
    net = layer_normalization(net, weights["input_norm"])
  mask = dense(relu(dense(mask_input, weights["aggregation"])), weights["mask"])
  return layer_normalization(dense(net * mask, weights["hidden"]), weights["output_norm"])


def mask_net(inputs, blocks, parallel, mlp_weights=None, **mlp_options):
  if parallel:
    net = np.concatenate([mask_block(inputs, inputs, block) for block in blocks], axis=1)
  else:
    net = inputs
    for block in blocks:
      net = mask_block(net, inputs, block)
  return net if mlp_weights is None else mlp(net, mlp_weights, **mlp_options)


def double_norm_log(inputs, batch_norm, layer_norm, clip_magnitude, epsilon, training=False):
  """`batch_norm` and `layer_norm` hold weights, or are None where the norm is absent."""
  continuous, *others = inputs
  net = signed_log1p(replace_non_finite(continuous))
  if batch_norm is not None:
    net = batch_normalization(net, batch_norm, training)
  net = np.clip(net, -clip_magnitude, clip_magnitude)
  net = np.concatenate([net, *(make_safe(other) for other in others)], axis=1)
  return net if layer_norm is None else layer_normalization(net, layer_norm, epsilon)


def z_score_log(inputs, mean, std, clip_magnitude, normalize=lambda net: net):
  """`normalize` is what follows the z-score: a batch norm, or nothing."""
  continuous, *others = inputs
  centered = signed_log1p(replace_non_finite(continuous)) - mean
  net = np.where(std > 0, centered / np.where(std > 0, std, 1.0), 0.0)
  net = np.clip(normalize(net), -clip_magnitude, clip_magnitude)
  return np.concatenate([net, *(make_safe(other) for other in others)], axis=1)


def embedding_norm(inputs, weights):
  return layer_normalization(make_safe(inputs), weights)


def small_embedding(table, column):
  """The rows of a column; values without a row of their own have the last one."""
  last = len(table) - 1
  return np.stack([table[value if 0 <= value < last else last] for value in column])


def large_embedding(table, rows):
  """The mean of each example's rows."""
  return np.stack([np.mean([table[row] for row in example], axis=0) for example in rows])


def listed_rows(ids, vocabulary, size):
  """Rows by position in the list; the rest has row `size`."""
  rows = {value: row for row, value in enumerate(vocabulary)}
  return np.array([[rows.get(value, size) for value in example] for example in ids])


class Sgd:
  """Plain gradient descent on one array."""

  def update(self, value, gradient, rate):
    return value - rate * gradient


class Adagrad:
  """Adagrad on one array."""

  def __init__(self):
    self.square = 0.1

  def update(self, value, gradient, rate):
    self.square = self.square + gradient**2
    return value - rate * gradient / (np.sqrt(self.square) + 1e-7)


def calibrate(probabilities, ratio):
  return probabilities * ratio / (1.0 - probabilities + ratio * probabilities)


def score(probabilities, weights, groups=(), squash_epsilon=None):
  """The score of each row.

  Args:
    probabilities: [batch, tasks].
    weights: a number a task; the tasks of a group share theirs.
    groups: lists of columns of which only the largest counts.
  """
  scores = []
  for row in np.asarray(probabilities, np.float64):
    grouped = [column for group in groups for column in group]
    terms = [(weights[i], p) for i, p in enumerate(row) if i not in grouped]
    terms += [(weights[group[0]], max(row[column] for column in group)) for group in groups]
    total = sum(weight * p for weight, p in terms)
    if squash_epsilon is not None:
      positive = sum(weight for weight, _ in terms if weight > 0)
      negative = -sum(weight for weight, _ in terms if weight < 0)
      if total < 0:
        total = (total + negative) / (positive + negative) * squash_epsilon
      else:
        total += squash_epsilon
    scores.append(total)
  return np.array(scores)


def weighted_cross_entropy(logits, labels, pos_weight=1.0):
  """The cross entropy of each example, without a logarithm of 0."""
  logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
  log_p, log_not_p = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
  return -(pos_weight * labels * log_p + (1.0 - labels) * log_not_p)


def learning_rate(schedule, step):
  """The rate of a schedule given as in the configuration file."""
  ((kind, options),) = schedule.items()
  if kind == "constant":
    return options
  if kind == "piecewise_constant":
    position = bisect.bisect_right(options["learning_rate_boundaries"], step)
    return options["learning_rate_values"][position]
  peak, ramp = options["learning_rate"], options["num_ramp_steps"]
  if step < ramp:
    return peak * step / ramp
  if kind == "linear_ramp_to_constant":
    return peak
  final, end = options["final_learning_rate"], options["final_num_steps"]
  if step >= end:
    return final
  return final + (peak - final) * (1 + math.cos(math.pi * (step - ramp) / (end - ramp))) / 2


class Adam:
  """PyTorch's Adam on one array: epsilon is added to the root of the corrected second moment."""

  def __init__(self, beta_1, beta_2, epsilon):
    self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
    self.mean, self.square, self.updates = 0.0, 0.0, 0

  def update(self, value, gradient, rate):
    self.updates += 1
    self.mean = self.beta_1 * self.mean + (1 - self.beta_1) * gradient
    self.square = self.beta_2 * self.square + (1 - self.beta_2) * gradient**2
    mean = self.mean / (1 - self.beta_1**self.updates)
    square = self.square / (1 - self.beta_2**self.updates)
    return value - rate * mean / (np.sqrt(square) + self.epsilon)


def cross_net(inputs, layers):
  """x_{k+1} = x_0 * (x_k W_k + b_k) + x_k; a layer is its dense factors, one or two."""
  net = inputs
  for factors in layers:
    product = net
    for weights in factors:
      product = product @ weights["kernel"] + weights.get("bias", 0.0)
    net = inputs * product + net
  return net


def dlrm(inputs, bottom, top, **top_options):
  dense_inputs, *embeddings = inputs
  vectors = [mlp(dense_inputs, bottom), *embeddings]
  pairs = [
    np.sum(vectors[i] * vectors[j], axis=1, keepdims=True)
    for i in range(len(vectors))
    for j in range(i)
  ]
  return mlp(np.concatenate([vectors[0], *pairs], axis=1), top, **top_options)


def gate(inputs, weights):
  """The weight of each expert; `weights` hold a dense layer each, ReLU between them."""
  logits = mlp(inputs, weights)
  exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
  return exponentials / exponentials.sum(axis=1, keepdims=True)


def mixture(gate_values, experts):
  """Sum over the experts of gate value * output; `experts` are [batch, width] each."""
  return sum(gate_values[:, [index]] * expert for index, expert in enumerate(experts))


def mixture_of_experts(inputs, experts, gates):
  """MMoE, [batch, width] a task: `experts` are functions, `gates` dense layers a task."""
  outputs = [expert(inputs) for expert in experts]
  return [mixture(gate(inputs, weights), outputs) for weights in gates]


def layered_extraction(inputs, levels):
  """PLE, [batch, width] a task.

  Args:
    levels: dicts with `own`, a list of functions a task, `shared`, a list of functions, `gates`,
      dense layers a task, and `shared_gate`, dense layers or None.
  """
  mixtures, shared_mixture = [inputs] * len(levels[0]["own"]), inputs
  for level in levels:
    own = [[expert(x) for expert in experts] for experts, x in zip(level["own"], mixtures)]
    shared = [expert(shared_mixture) for expert in level["shared"]]
    gates = [gate(x, weights) for weights, x in zip(level["gates"], mixtures)]
    mixtures = [mixture(values, [*experts, *shared]) for values, experts in zip(gates, own)]
    if level["shared_gate"] is not None:
      every = [*(expert for experts in own for expert in experts), *shared]
      shared_mixture = mixture(gate(shared_mixture, level["shared_gate"]), every)
  return mixtures


def total_loss(losses, weights, reduction, log_variances=None):
  losses, weights = np.asarray(losses, np.float64), np.asarray(weights, np.float64)
  if reduction == "uncertainty":
    return np.sum(weights * (np.exp(-log_variances) * losses + log_variances / 2))
  return {"mean": np.mean, "sum": np.sum}[reduction](weights * losses)
