"""One optimizer a group of variables, each with its own learning-rate schedule."""

from collections.abc import Mapping
from typing import Optional

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from heavy_ranker.config.model import LargeEmbeddingsConfig
from heavy_ranker.config.optimizer import LearningRateConfig, OptimizerConfig
from heavy_ranker.layers.large_embedding import LargeEmbedding
from heavy_ranker.layers.tower import tower_name
from heavy_ranker.training.adam import Adam
from heavy_ranker.training.learning_rates import Schedule
from heavy_ranker.training.sparse_optimizers import make_sparse_optimizer

# The group of everything that is in no other.
BACKBONE = "backbone"
# The group of the tables over sparse ids, if there are any.
LARGE_EMBEDDINGS = "large_embeddings"


def variable_groups(
  ranker: keras.Model, tasks: list[str], of_tasks: Optional[Mapping[str, tf.Variable]] = None
) -> dict[str, list[tf.Variable]]:
  """Returns the trainable variables by group: each tower, BACKBONE, and LARGE_EMBEDDINGS.

  Args:
    ranker: the model from `build_model`.
    tasks: the model's tasks in order.
    of_tasks: a variable beside the ranker for each task, such as those of a TaskLossReduction;
      it belongs to the group of the task's tower.
  """
  groups = {task: ranker.get_layer(tower_name(task)).trainable_variables for task in tasks}
  tables = [layer.embeddings for layer in ranker.layers if isinstance(layer, LargeEmbedding)]
  grouped = {variable.ref() for group in (*groups.values(), tables) for variable in group}
  rest = [variable for variable in ranker.trainable_variables if variable.ref() not in grouped]
  for task, variable in (of_tasks or {}).items():
    groups[task] = [*groups[task], variable]
  return {**groups, BACKBONE: rest, **({LARGE_EMBEDDINGS: tables} if tables else {})}


def learning_rate_configs(
  config: OptimizerConfig,
  tasks: list[str],
  large_embeddings: Optional[LargeEmbeddingsConfig] = None,
) -> dict[str, LearningRateConfig]:
  """Returns the schedule of each group, by group."""
  rates = config.multi_task_learning_rates
  if rates is None:
    schedules = dict.fromkeys([*tasks, BACKBONE], config.single_task_learning_rate)
  else:
    towers = {task: rates.tower_learning_rates[task] for task in tasks}
    schedules = {**towers, BACKBONE: rates.backbone_learning_rate}
  if large_embeddings is not None and large_embeddings.tables:
    schedules[LARGE_EMBEDDINGS] = large_embeddings.optimizer.schedule
  return schedules


def make_optimizer(
  config: OptimizerConfig,
  ranker: keras.Model,
  tasks: list[str],
  of_tasks: Optional[Mapping[str, tf.Variable]] = None,
  large_embeddings: Optional[LargeEmbeddingsConfig] = None,
) -> tfrs.experimental.optimizers.CompositeOptimizer:
  """Returns the optimizer of all groups, with its variables.

  Args:
    config: the section `optimizer`.
    ranker: the model from `build_model`.
    tasks: the model's tasks in order.
    of_tasks: see `variable_groups`.
    large_embeddings: the section `model.large_embeddings`, which trains its tables itself.
  """
  schedules = learning_rate_configs(config, tasks, large_embeddings)
  adam = config.adam
  optimizers_and_variables = []
  for group, variables in variable_groups(ranker, tasks, of_tasks).items():
    schedule = Schedule(schedules[group])
    if group == LARGE_EMBEDDINGS:
      optimizer = make_sparse_optimizer(large_embeddings.optimizer.algorithm, schedule)
    else:
      optimizer = Adam(schedule, adam.beta_1, adam.beta_2, adam.epsilon)
    optimizer.create_variables(variables)
    optimizers_and_variables.append((optimizer, lambda variables=variables: variables))
  return tfrs.experimental.optimizers.CompositeOptimizer(optimizers_and_variables)
