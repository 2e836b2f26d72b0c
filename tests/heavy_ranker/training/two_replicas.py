"""Trains on one replica and on two and writes down what came of it; replicas_test.py reads it.

A program of its own, since TensorFlow takes the number of logical devices only before it starts.
"""

import sys
import types

import heavy_ranker  # noqa: F401 - before TensorFlow, whose environment it settles.

# isort: split
import numpy as np
import tensorflow as tf

from heavy_ranker import build_model
from heavy_ranker.layers.batch_normalization import BatchNormalization
from heavy_ranker.layers.batch_renormalization import BatchRenormalization
from heavy_ranker.layers.dropout import Dropout
from heavy_ranker.training.distribution import make_strategy
from heavy_ranker.training.gradient_norms import GradientNorms
from heavy_ranker.training.guarded_updates import GuardedUpdates
from heavy_ranker.training.loss_scale import LossScale
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from heavy_ranker.training.optimizer import make_optimizer
from tests.heavy_ranker import example_config, layer_helpers

BATCH = 8
STEPS = 4
TASKS = list(example_config.TASKS)
MOMENTUM = 0.25
# Renormalization's bounds are then neither those of the start nor those of the end.
UPDATES = 9_000
# What each step's replicas see, so that their parts of the batch differ.
NORM_INPUTS = np.random.default_rng(5).normal(size=(BATCH, 3)).astype("f") * [1, 2, 3] + 1
NORM_INPUTS[BATCH // 2 :] += 4


_EXPERT = {"mlp_config": {"layer_sizes": [5, 4], "batch_norm": {}, "final_layer_activation": True}}
_LAYERS = {"num_levels": 2, "num_shared_experts": 1, "num_task_experts": 1, "expert": _EXPERT}
LEARNED_LOSS_SCALES = (
  ("model", "backbone", {"ple_config": _LAYERS}),
  ("model", "task_loss_reduction", "uncertainty"),
  ("model", "tasks", "likes", "loss_weight", 2.0),
)


def batches():
  random = np.random.default_rng(1)
  for _ in range(STEPS):
    features = {
      name: random.normal(size=(BATCH, width)).astype("f")
      for name, width in example_config.WIDTHS.items()
    }
    labels = {task: random.integers(0, 2, BATCH).astype("f") for task in TASKS}
    weights = {task: random.uniform(0.5, 9, BATCH).astype("f") for task in TASKS}
    yield tf.nest.map_structure(tf.constant, (features, labels, weights))


def part_of(batch):
  """This replica's rows of a global batch, which the trainer cuts in the same way."""
  context = tf.distribute.get_replica_context()
  size = BATCH // context.num_replicas_in_sync
  start = context.replica_id_in_sync_group * size
  return tf.nest.map_structure(lambda tensor: tensor[start : start + size], batch)


def train(strategy, synchronized, *changes):
  """{name: array}: losses of each step, gradients of the first, weights after the last."""
  changes = [
    *changes,
    ("training", "synchronize_batch_norm", synchronized),
    # Replicas draw dropout masks of their own.
    ("model", "tasks", "area.reports", "mlp_config", "dropout", {"rate": 0.0}),
    # Adam would make whole steps of the noise in gradients that are truly 0.
    ("optimizer", "adam", "epsilon", 1e-3),
  ]
  config = example_config.build_config(changes)
  with strategy.scope():
    ranker = build_model(config, example_config.WIDTHS)
    for index, layer in enumerate(ranker.layers):
      layer_helpers.randomize(layer, seed=index)
    model = MultiTaskRanker(config, ranker, BATCH)
    log_variances = model.reduction.log_variances
    model.compile(make_optimizer(config.optimizer, ranker, TASKS, log_variances))
  variables = [*ranker.trainable_variables, *log_variances.values()]

  def gradients(batch):
    with tf.GradientTape() as tape:
      loss = model.compute_loss(part_of(batch), training=True)
    found = tape.gradient(loss, variables)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, found)

  def step(batch):
    # Not as a function: compiling takes longer than these few steps.
    parts = strategy.run(lambda: model.train_step(part_of(batch)))
    return [strategy.reduce("SUM", parts[name], axis=None) for name in ("loss", "task_losses")]

  results, losses = {}, []
  for batch in batches():
    if not losses:
      found = strategy.run(gradients, args=(batch,))
      for variable, gradient in zip(variables, found):
        gradient = strategy.experimental_local_results(gradient)[0]
        results[f"gradients/{variable.name}"] = gradient.numpy()
    loss, task_losses = step(batch)
    losses.append([loss.numpy(), *task_losses.numpy()])
  results["losses"] = np.array(losses)
  for variable in [*ranker.variables, *log_variances.values()]:
    results[f"weights/{variable.name}"] = variable.numpy()
  return results


def normalize(strategy, synchronized, kind=BatchNormalization):
  """{name: array}: outputs, input gradients and statistics of a lone batch norm."""
  with strategy.scope():
    layer = kind(MOMENTUM, True, synchronized)
    layer.build([None, 3])
    layer_helpers.randomize(layer)
    if kind is BatchRenormalization:
      layer.num_updates.assign(UPDATES)
  inputs = tf.constant(NORM_INPUTS, tf.float32)
  projection = tf.constant(np.random.default_rng(2).normal(size=NORM_INPUTS.shape), tf.float32)

  def run():
    part, part_of_projection = part_of((inputs, projection))
    with tf.GradientTape() as tape:
      tape.watch(part)
      outputs = layer(part, training=True)
      total = tf.reduce_sum(outputs * part_of_projection)
    return outputs, tape.gradient(total, part)

  outputs, gradient = (
    np.concatenate([x.numpy() for x in strategy.experimental_local_results(value)])
    for value in tf.function(lambda: strategy.run(run), autograph=False)()
  )
  found = {
    "outputs": outputs,
    "gradient": gradient,
    "mean": layer.moving_mean.numpy(),
    "variance": layer.moving_variance.numpy(),
  }
  return {**found, "updates": layer.num_updates.numpy()} if hasattr(layer, "num_updates") else found


def drop(strategy):
  with strategy.scope():
    layer = Dropout(0.5, seed=3)
    layer.build([None, 100])

  def run():
    return layer(tf.ones([2, 100]), training=True)

  function = tf.function(lambda: strategy.run(run), autograph=False)
  masks = [[x.numpy() for x in strategy.experimental_local_results(function())] for _ in range(2)]
  return {"masks": np.array(masks), "calls": layer.calls.numpy()}


class OneWeight:
  """A stand-in for the model: a weight whose gradient is 1 on the first replica."""

  def __init__(self):
    self.loss_scale = LossScale()
    self.ranker = types.SimpleNamespace(non_trainable_variables=[])
    self.trained = [tf.Variable(0.0, aggregation=tf.VariableAggregation.MEAN)]

  def losses_and_gradients(self, gradient):
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    losses = {"loss": tf.constant(0.0), "task_losses": tf.constant([0.0])}
    return losses, [tf.where(tf.equal(replica, 0), 1.0, gradient)]

  def apply_gradients(self, gradients):
    self.trained[0].assign_add(gradients[0])


def scale_loss(strategy):
  """{name: array}: weights and scales after each of three updates, of which the last replica's
  second one overflows."""
  with strategy.scope():
    model = OneWeight()
    norms = GradientNorms(model.trained, {"all": model.trained})
    updates = GuardedUpdates(strategy, model, norms, lambda gradient: gradient)
  update = tf.function(updates.update, autograph=False)
  found = {"weights": [], "scales": []}
  for gradient in (3.0, np.inf, 3.0):
    update(tf.constant(gradient))
    for name, variable in (("weights", model.trained[0]), ("scales", model.loss_scale.scale)):
      values = strategy.experimental_local_results(variable)
      found[name].append([each.numpy() for each in values])
  return found


def main(path):
  cpu = tf.config.list_physical_devices("CPU")[0]
  tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  tf.config.set_visible_devices([], "GPU")
  one, two = tf.distribute.MirroredStrategy(["CPU:0"]), make_strategy()
  runs = {
    "one": train(one, True),
    "two": train(two, True),
    "two_apart": train(two, False),
    "scales/one": train(one, True, *LEARNED_LOSS_SCALES),
    "scales/two": train(two, True, *LEARNED_LOSS_SCALES),
    "norm/one": normalize(one, True),
    "norm/two": normalize(two, True),
    "norm/two_apart": normalize(two, False),
    "renorm/one": normalize(one, True, BatchRenormalization),
    "renorm/two": normalize(two, True, BatchRenormalization),
    "dropout": drop(two),
    "loss_scale": scale_loss(two),
    "counts": {"one": one.num_replicas_in_sync, "two": two.num_replicas_in_sync},
  }
  np.savez(path, **{f"{run}/{name}": x for run, found in runs.items() for name, x in found.items()})


if __name__ == "__main__":
  main(sys.argv[1])
