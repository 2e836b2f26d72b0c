"""How requests get to the model: alone or joined, a bounded number at a time."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional

import numpy as np

from heavy_ranker.serving.server.admission import Admission
from heavy_ranker.serving.server.batch_scheduler import BatchScheduler
from heavy_ranker.serving.server.batching_parameters import read_batching_parameters
from heavy_ranker.serving.server.settings import ServerSettings
from heavy_ranker.serving.server.signature_info import SignatureInfo
from heavy_ranker.serving.server.telemetry import Telemetry

if TYPE_CHECKING:
  from heavy_ranker.serving.server.served_model import LoadedVersion


class Execution:
  """Runs the requests to all versions of all models of a server.

  Args:
    settings: the limits, and whether requests are joined.
    telemetry: what is told of waiting times and batches.

  Raises:
    UserError: the batching parameters cannot be used.
  """

  def __init__(self, settings: ServerSettings, telemetry: Telemetry):
    self.max_examples = settings.max_examples_a_request
    self._telemetry = telemetry
    self._admission = Admission(settings.max_running_requests, settings.max_waiting_requests)
    self._scheduler = None
    if settings.enable_batching:
      parameters = read_batching_parameters(settings.batching_parameters_file)
      self._scheduler = BatchScheduler(
        parameters, lambda queue, size: telemetry.observe_run(queue[0], size)
      )

  def run(
    self,
    version: "LoadedVersion",
    info: SignatureInfo,
    inputs: Mapping[str, np.ndarray],
    examples: int,
    deadline: Optional[float],
  ) -> dict[str, np.ndarray]:
    """Runs a request whose inputs have been checked; see `LoadedVersion.run`."""
    if self._scheduler is not None and info.can_be_batched:
      queue = (version.name, version.version, info.name)
      compute = functools.partial(version.compute, info)
      outputs, seconds = self._scheduler.submit(queue, compute, inputs, examples, deadline)
      self._telemetry.observe_queue(version.name, seconds)
      return outputs
    with self._admission.enter(deadline) as seconds:
      self._telemetry.observe_queue(version.name, seconds)
      self._telemetry.observe_run(version.name, examples)
      return version.compute(info, inputs)

  def stop(self) -> None:
    """Finishes the requests that are waiting."""
    if self._scheduler is not None:
      self._scheduler.stop()
