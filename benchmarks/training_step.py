"""A training step as `heavy_ranker.training.trainer` makes it, on batches from anywhere."""

import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.model import build_model
from heavy_ranker.training.distribution import make_strategy
from heavy_ranker.training.gradient_norms import GradientNorms
from heavy_ranker.training.guarded_updates import GuardedUpdates
from heavy_ranker.training.multi_task_ranker import Batch, MultiTaskRanker
from heavy_ranker.training.optimizer import make_optimizer, variable_groups

_POSITIVE_SHARE = 0.3


class TrainingStep:
  """A model with its optimizer; calling it makes one update.

  Args:
    config: the whole configuration.
    batch_size: examples each replica has of an update.

  Attributes:
    ranker: the model that is trained.
  """

  def __init__(self, config: HeavyRankerConfig, batch_size: int):
    self._tasks, self._batch_size = list(config.model.tasks), batch_size
    self._strategy = make_strategy()
    with self._strategy.scope():
      self.ranker = build_model(config)
      model = MultiTaskRanker(config, self.ranker, batch_size * self._strategy.num_replicas_in_sync)
      variances, tables = model.reduction.log_variances, config.model.large_embeddings
      optimizer = make_optimizer(config.optimizer, self.ranker, self._tasks, variances, tables)
      model.compile(optimizer=optimizer)
      norms = GradientNorms(model.trained, variable_groups(self.ranker, self._tasks, variances))
      self._updates = GuardedUpdates(self._strategy, model, norms, lambda batch: batch)
    self._step = tf.function(self._run, autograph=False)

  def random_batch(self) -> Batch:
    """Returns examples that nothing can be learned from, in memory."""
    size = self._batch_size
    features = {
      name: _random([size, *each.shape[1:]], each.dtype) for name, each in self.ranker.input.items()
    }
    labels = {
      task: tf.cast(tf.random.uniform([size]) < _POSITIVE_SHARE, tf.float32) for task in self._tasks
    }
    return features, labels, {task: tf.ones([size]) for task in self._tasks}

  def trace(self, batch: Batch) -> None:
    """Builds the graph for batches of this kind, and computes nothing."""
    self._step.get_concrete_function(batch)

  def __call__(self, batch: Batch) -> float:
    """Makes one update, waits for it, and returns the loss."""
    return float(self._step(batch).numpy())

  def _run(self, batch: Batch) -> tf.Tensor:
    return self._updates.update(batch)["loss"]


def _random(shape: list[int], dtype: tf.DType) -> tf.Tensor:
  if dtype.is_integer:
    return tf.random.uniform(shape, maxval=1000, dtype=dtype)
  return tf.random.normal(shape, dtype=dtype)
