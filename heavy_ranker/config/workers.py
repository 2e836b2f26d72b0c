"""The section `training.workers`: how the workers of a cluster meet, talk and part."""

from typing import Literal

import pydantic

from tfrecords.config.strict_model import StrictModel


class WorkersConfig(StrictModel):
  """What a training run on several machines does beyond that of one.

  It has no effect without TF_CONFIG in the environment.

  Attributes:
    start_timeout_in_s: how long the workers wait for each other at the start.
    lost_after_in_s: a worker that shows no sign of life for so long is lost, and the run ends. One
      whose process has died is lost at once.
    collectives: who adds up the gradients: RING (TensorFlow over gRPC, any device), NCCL (GPUs),
      or AUTO, which is NCCL where all workers have GPUs.
    megabytes_per_pack: gradients are sent in packs of about so many, each as soon as it is
      complete and while others are on their way; 0 sends all of them as one, which takes twice the
      work, and two to three times as long.
  """

  start_timeout_in_s: pydantic.PositiveFloat = 50.0
  lost_after_in_s: float = pydantic.Field(default=20.0, ge=2.0)
  collectives: Literal["AUTO", "RING", "NCCL"] = "AUTO"
  megabytes_per_pack: int = pydantic.Field(default=16, ge=0, le=4096)
