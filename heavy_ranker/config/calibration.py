"""The `calibration` section: how probabilities are fitted to held-out data after training."""

from typing import Literal, Optional

import pydantic

from tfrecords.config.strict_model import StrictModel

Method = Literal["platt", "temperature", "isotonic", "none"]


class CalibrationConfig(StrictModel):
  """What `//heavy_ranker:calibrate` fits, and whether evaluation and export apply it.

  Attributes:
    method: `platt` (slope and intercept on the logit), `temperature` (slope only), `isotonic`
      (any curve that never falls) or `none`.
    methods: task -> method, for tasks that need another one.
    partition: the partition of `validation_data` it is fitted on; may be absent if there is one.
    apply: evaluation and export apply the calibration that lies beside their checkpoint.
  """

  method: Method = "platt"
  methods: dict[str, Method] = pydantic.Field(default_factory=dict)
  partition: Optional[str] = None
  apply: bool = True
