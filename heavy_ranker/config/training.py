"""The `training` section: how long, how often, and where to."""

from typing import Optional

import pydantic

from tfrecords.config.strict_model import StrictModel


class TrainingConfig(StrictModel):
  """Steps, checkpoints and logs of a training run.

  Attributes:
    save_dir: folder of checkpoints, logs and TensorBoard files.
    num_train_steps: updates in all, those before a restart included.
    seed: seed of initial weights and dropout.
    synchronize_batch_norm: normalize with the statistics of the global batch (default, equal to
      one replica with the whole batch) rather than with each replica's own.
    initial_checkpoint_dir: a run or checkpoint whose weights are taken at step 0 where name and
      shape are the same.
    checkpoint_every_n: steps between checkpoints; the last step always writes one.
    checkpoint_max_to_keep: older checkpoints are deleted; all are kept when absent.
    train_log_every_n: steps between log lines.
    num_eval_steps: batches an evaluation reads of each partition; below 0: all of them.
    eval_log_every_n: batches between evaluation log lines.
    eval_timeout_in_s: how long a following evaluation waits for the next checkpoint.
    gradient_accumulation: micro-batches whose gradients make one update.
  """

  not_supported_yet = ("gradient_accumulation",)

  save_dir: str
  num_train_steps: pydantic.NonNegativeInt = 1_000_000
  seed: pydantic.NonNegativeInt = 0
  synchronize_batch_norm: bool = True
  initial_checkpoint_dir: Optional[str] = None
  checkpoint_every_n: pydantic.PositiveInt = 1000
  checkpoint_max_to_keep: Optional[pydantic.PositiveInt] = None
  train_log_every_n: pydantic.PositiveInt = 1000
  num_eval_steps: int = 16384
  eval_log_every_n: pydantic.PositiveInt = 5000
  eval_timeout_in_s: pydantic.PositiveFloat = 3600.0
  gradient_accumulation: Optional[pydantic.PositiveInt] = None
