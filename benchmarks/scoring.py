"""How fast a model scores, beside the machine's floor and, if there is one, a peer."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from benchmarks.floor import call_seconds, rounded
from benchmarks.peer import Peer
from benchmarks.senders import random_inputs
from benchmarks.untrained_export import write_untrained_export
from benchmarks.work import Machine, Work
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.model import build_model
from heavy_ranker.serving.client_types import Signature
from heavy_ranker.serving.signatures import SERVING_DEFAULT

KERAS, SIGNATURE = "keras", "signature"
_PARTS = 5
# The most candidates a round scores in calls of one size.
_CANDIDATES = 15_000


class ScoringBenchmark:
  """Measures the Keras model and the export's signature in turn, candidates in memory.

  Args:
    config: the whole configuration.
    folder: for the export.
    sizes: candidates a call.
    rounds: how often everything is measured, in turn.
    calls: the most calls of one size a round.
    peer: what else is measured; None for nothing.
  """

  def __init__(
    self,
    config: HeavyRankerConfig,
    folder: str,
    sizes: Sequence[int],
    rounds: int,
    calls: int,
    peer: Optional[Peer] = None,
  ):
    training = config.training.model_copy(update={"save_dir": os.path.join(folder, "run")})
    config = config.model_copy(update={"training": training})
    self._export = tf.saved_model.load(
      write_untrained_export(config, os.path.join(folder, "export"))
    )
    self._signature = self._export.signatures[SERVING_DEFAULT]
    ranker = build_model(config)
    self._work, self._keras = Work.of(ranker), _scores_of(ranker)
    self._inputs = Signature(self._signature.structured_input_signature[1], {})
    self._sizes, self._rounds, self._calls, self._peer = sizes, rounds, calls, peer

  def run(self) -> dict[str, Any]:
    """Returns everything that was measured, as plain data."""
    rounds = [self._round() for _ in range(self._rounds)]
    sizes = {str(size): _medians([each[size] for each in rounds]) for size in self._sizes}
    return {**self._work.describe(), "sizes": sizes}

  def _round(self) -> dict[int, dict[str, float]]:
    peer = self._peer
    theirs = peer.measure() if peer is not None else {}
    found = {}
    for size in self._sizes:
      found[size] = self._measure(size)
      if peer is not None:
        speed = peer.examples_per_second(theirs, "score", size)
        found[size]["peer_examples_per_second"] = speed
        for name in (KERAS, SIGNATURE):
          found[size][f"{name}_to_peer"] = found[size][f"{name}_examples_per_second"] / speed
    return found

  def _measure(self, size: int) -> dict[str, float]:
    machine = Machine.measure()
    inputs = {name: tf.constant(each) for name, each in random_inputs(self._inputs, size).items()}
    calls = {
      KERAS: lambda: self._keras(inputs)["score"].numpy(),
      SIGNATURE: lambda: self._signature(**inputs)["score"].numpy(),
    }
    seconds = _alternate(calls, max(_PARTS, min(self._calls, _CANDIDATES // size)))
    least = self._work.scoring_seconds(size, machine)
    found = {f"{name}_examples_per_second": size / taken for name, taken in seconds.items()}
    found["floor_examples_per_second"] = size / least
    found.update({f"{name}_share_of_floor": least / taken for name, taken in seconds.items()})
    found["signature_to_keras"] = seconds[KERAS] / seconds[SIGNATURE]
    return {**found, **asdict(machine)}


def _scores_of(ranker: keras.Model) -> Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]:
  """Returns a tf.function of what the signature puts out, too."""

  @tf.function(autograph=False, reduce_retracing=True)
  def score(inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    outputs = ranker(inputs, training=False)
    return {name: outputs[name] for name in ("score", "calibrated_probabilities")}

  return score


def _alternate(calls: Mapping[str, Callable[[], np.ndarray]], count: int) -> dict[str, float]:
  """Returns the median seconds of each call; they take turns."""
  taken: dict[str, list[float]] = {name: [] for name in calls}
  for _ in range(_PARTS):
    for name, call in calls.items():
      taken[name] += call_seconds(call, max(1, count // _PARTS))
  return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
  return {name: rounded(statistics.median(each[name] for each in rounds)) for name in rounds[0]}
