"""The `training` section: how long, how often, and where to."""

from typing import Literal, Optional, Union

import pydantic

from heavy_ranker.config.early_stopping import EarlyStoppingConfig
from heavy_ranker.config.workers import WorkersConfig
from tfrecords.config.sizes import BatchCount
from tfrecords.config.strict_model import StrictModel, inconsistent


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
    early_stopping: ends training, before its last step, once checkpoints become no better.
    train_log_every_n: steps between log lines.
    num_eval_steps: batches an evaluation reads of each partition; below 0: all of them.
    eval_log_every_n: batches between evaluation log lines.
    eval_timeout_in_s: how long a following evaluation waits for the next checkpoint.
    mixed_precision: float16 (or true) or bfloat16: training computes in it, for GPUs that are
      faster so; variables, norms, logits and losses stay float32, and so do evaluation and export.
      float16 scales the loss. False: float32 (default).
    gradient_accumulation: batches of `train_data` whose gradients make one update; 1 when absent.
    max_skipped_batches: batches of a run whose loss or gradients are not finite that are left out;
      the next one ends it.
    log_gradient_norms: logs the norm of each learning-rate group's gradients, before clipping.
    workers: how several machines train together.
  """

  save_dir: str
  num_train_steps: pydantic.NonNegativeInt = 1_000_000
  seed: pydantic.NonNegativeInt = 0
  synchronize_batch_norm: bool = True
  initial_checkpoint_dir: Optional[str] = None
  checkpoint_every_n: pydantic.PositiveInt = 1000
  checkpoint_max_to_keep: Optional[pydantic.PositiveInt] = None
  early_stopping: Optional[EarlyStoppingConfig] = None
  train_log_every_n: pydantic.PositiveInt = 1000
  num_eval_steps: int = 16384
  eval_log_every_n: pydantic.PositiveInt = 5000
  eval_timeout_in_s: pydantic.PositiveFloat = 3600.0
  gradient_accumulation: Optional[BatchCount] = None
  max_skipped_batches: pydantic.NonNegativeInt = 0
  log_gradient_norms: bool = False
  mixed_precision: Optional[Union[pydantic.StrictBool, Literal["float16", "bfloat16"]]] = False
  workers: WorkersConfig = WorkersConfig()

  @property
  def compute_dtype(self) -> str:
    """What a training step computes in: float32, float16 or bfloat16."""
    if isinstance(self.mixed_precision, str):
      return self.mixed_precision
    return "float16" if self.mixed_precision else "float32"

  @pydantic.model_validator(mode="after")
  def _check_evaluation(self) -> "TrainingConfig":
    if self.num_eval_steps == 0:
      raise inconsistent(
        "num_eval_steps: found 0, allowed: at least 1, or below 0 for all the data"
      )
    return self
