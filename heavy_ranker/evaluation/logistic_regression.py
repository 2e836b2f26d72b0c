"""The logistic regression that a model is held against: its configuration, out of the model's."""

import os

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.baselines import LOGISTIC_REGRESSION
from heavy_ranker.config.evaluation import EvaluationConfig
from heavy_ranker.config.model import MlpConfig, TaskModelConfig
from heavy_ranker.config.optimizer import LearningRateConfig, LinearRampToCosine
from tfrecords import paths

_LEARNING_RATE, _FINAL_LEARNING_RATE = 0.05, 0.001
_STEPS_A_RAMP_STEP = 12


def logistic_regression_config(config: HeavyRankerConfig) -> HeavyRankerConfig:
  """Returns the configuration of a logistic regression a task on the model's own inputs.

  Each tower is one dense layer of one unit on the featurized inputs (trained embeddings of ids
  included), without loss weights, `pos_weight` and `affine_map`. Featurization, training data,
  sampling corrections, seeds, number of steps and Adam's constants are the model's.

  Args:
    config: the model's configuration.
  """
  tower = TaskModelConfig(mlp_config=MlpConfig(layer_sizes=[1]))
  rate = config.evaluation.logistic_regression.learning_rate
  return config.model_copy(
    update={
      "training": config.training.model_copy(
        update={
          "save_dir": logistic_regression_folder(config),
          "initial_checkpoint_dir": None,
          "checkpoint_max_to_keep": 1,
          "early_stopping": None,
        }
      ),
      "model": config.model.model_copy(
        update={
          "tasks": dict.fromkeys(config.model.tasks, tower),
          "multi_task_type": "share_none",
          "backbone": None,
          "wide_config": None,
          "task_loss_reduction": "mean",
          "stratifiers": None,
        }
      ),
      "optimizer": config.optimizer.model_copy(
        update={
          "multi_task_learning_rates": None,
          "single_task_learning_rate": rate or _schedule(config.training.num_train_steps),
        }
      ),
      "validation_data": {},
      "evaluation": EvaluationConfig(),
      "which_metrics": None,
    }
  )


def logistic_regression_folder(config: HeavyRankerConfig) -> str:
  """Returns where the logistic regression of a model's run is trained."""
  save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
  return os.path.join(save_dir, "baselines", LOGISTIC_REGRESSION)


def _schedule(num_steps: int) -> LearningRateConfig:
  ramp = max(1, num_steps // _STEPS_A_RAMP_STEP)
  cosine = LinearRampToCosine(
    learning_rate=_LEARNING_RATE,
    final_learning_rate=_FINAL_LEARNING_RATE,
    num_ramp_steps=ramp,
    final_num_steps=max(num_steps, ramp + 1),
  )
  return LearningRateConfig(linear_ramp_to_cosine=cosine)
