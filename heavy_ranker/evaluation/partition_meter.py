"""Takes in a partition batch by batch, in bounded memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from heavy_ranker.config.evaluation import EvaluationConfig
from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.example_store import ExampleStore
from heavy_ranker.evaluation.population import Population
from heavy_ranker.evaluation.score_share import ScoreShare

_EXAMPLES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Subject:
  """What is measured of a partition.

  Attributes:
    tasks: the tasks it measures.
    model_tasks: all of the model's, in order.
    class_weights: for each of `tasks` the weight of a negative and of a positive.
    metrics: names of the metrics to report.
    settings: the section `evaluation`.
    score: the section `score`.
    no_users: why examples have no user; None if they have.
    strata: the strata's names.
    is_calibrated: calibrated predictions differ from the raw ones, which are measured, too.
    baselines: names of the baselines whose predictions come with each batch.
    upper_bound: the one of them that no model can outdo, if any.
  """

  tasks: tuple[str, ...]
  model_tasks: tuple[str, ...]
  class_weights: tuple[tuple[float, float], ...]
  metrics: tuple[str, ...]
  settings: EvaluationConfig
  score: ScoreConfig
  no_users: Optional[str] = None
  strata: tuple[str, ...] = ()
  is_calibrated: bool = False
  baselines: tuple[str, ...] = ()
  upper_bound: Optional[str] = None


@dataclass(frozen=True)
class MeasuredBatch:
  """Examples with their predictions.

  Attributes:
    probabilities: calibrated predictions of all the model's tasks, float32 [n, model tasks].
    labels: of the measured tasks, 0 or 1, [n, tasks].
    scores: float32 [n].
    users: int64 [n]; None where examples have no user.
    strata: which strata examples belong to, bool [strata, n].
    baselines: name -> predictions of the measured tasks, float32 [n, tasks].
    uncalibrated: raw predictions of all the model's tasks, float32 [n, model tasks].
  """

  probabilities: np.ndarray
  labels: np.ndarray
  scores: np.ndarray
  users: Optional[np.ndarray] = None
  strata: Optional[np.ndarray] = None
  baselines: Optional[Mapping[str, np.ndarray]] = None
  uncalibrated: Optional[np.ndarray] = None


class PartitionMeter:
  """Sums, histograms and stored examples of one partition.

  Args:
    subject: what is measured.

  Attributes:
    subject: the argument.
    batches: how many were added.
    everything: all examples.
    strata: those of each stratum.
    baselines: name -> all examples with the baseline's predictions.
    uncalibrated: all examples with the raw predictions; None unless `subject.is_calibrated`.
    store: the examples themselves, up to `max_examples_in_memory`.
    stored_tasks: the tasks whose predictions it keeps: the measured ones and then, if there are
      scenarios to try (`evaluation.what_if`), the model's others, with labels 0.
    score_share: what each task contributes to the score.
  """

  def __init__(self, subject: Subject):
    self.subject = subject
    self.batches = 0
    self.everything = self._population()
    self.strata = [self._population() for _ in subject.strata]
    self.baselines = {name: self._population() for name in subject.baselines}
    self.uncalibrated = self._population() if subject.is_calibrated else None
    others = [task for task in subject.model_tasks if task not in subject.tasks]
    self.stored_tasks = (*subject.tasks, *(others if subject.settings.what_if else ()))
    # The model's columns first, then those of each baseline; see `baseline_keys`.
    self.store = ExampleStore(
      len(self.stored_tasks) + len(subject.tasks) * len(subject.baselines),
      len(subject.strata),
      subject.settings.max_examples_in_memory,
    )
    self.score_share = ScoreShare(subject.score, subject.model_tasks)
    self._positions = [subject.model_tasks.index(task) for task in self.stored_tasks]
    self._pending: list[MeasuredBatch] = []
    self._pending_examples = 0
    self._taken = 0

  def _population(self) -> Population:
    subject = self.subject
    return Population(subject.class_weights, subject.settings.calibration_bins)

  def baseline_keys(self, name: str, task: int) -> np.ndarray:
    """Returns the stored examples' keys of a task's index with a baseline's predictions [n]."""
    subject = self.subject
    first = len(self.stored_tasks) + len(subject.tasks) * subject.baselines.index(name)
    return self.store.keys(first + task)

  def add(self, batch: MeasuredBatch) -> None:
    """Adds a batch.

    Raises:
      ValueError: predictions outside [0, 1], labels other than 0 and 1, or scores not finite.
    """
    _check(batch)
    self.batches += 1
    self._pending.append(batch)
    self._pending_examples += len(batch.scores)
    if self._pending_examples >= _EXAMPLES_AT_ONCE:
      self.flush()

  def flush(self) -> None:
    """Takes in what waits to be taken in together."""
    batches, self._pending, self._pending_examples = self._pending, [], 0
    if not batches:
      return
    every = np.concatenate([batch.probabilities for batch in batches])
    stored = every[:, self._positions]
    probabilities = stored[:, : len(self.subject.tasks)]
    labels = np.concatenate([batch.labels for batch in batches]).astype(bool)
    strata = self._strata_of(batches)
    self.everything.add(probabilities, labels)
    for population, chosen in zip(self.strata, strata):
      population.add(probabilities[chosen], labels[chosen])
    unmeasured = stored.shape[1] - labels.shape[1]
    keys = [prediction_keys.encode(stored, np.pad(labels, [(0, 0), (0, unmeasured)]))]
    for name, population in self.baselines.items():
      predicted = np.concatenate([batch.baselines[name] for batch in batches])
      population.add(predicted, labels)
      keys.append(prediction_keys.encode(predicted, labels))
    if self.uncalibrated is not None:
      raw = np.concatenate([batch.uncalibrated for batch in batches])
      self.uncalibrated.add(raw[:, self._positions[: labels.shape[1]]], labels)
    self.score_share.add(every)
    self.store.add(
      np.concatenate(keys, axis=1),
      np.concatenate([batch.scores for batch in batches]),
      self._units_of(batches, len(labels)),
      strata,
    )
    self._taken += len(labels)

  def _units_of(self, batches: Sequence[MeasuredBatch], size: int) -> np.ndarray:
    if self.subject.no_users is None:
      return np.concatenate([batch.users for batch in batches])
    return np.arange(self._taken, self._taken + size)

  def _strata_of(self, batches: Sequence[MeasuredBatch]) -> np.ndarray:
    if not self.strata:
      return np.zeros((0, sum(len(batch.scores) for batch in batches)), bool)
    return np.concatenate([batch.strata for batch in batches], axis=1)


def _check(batch: MeasuredBatch) -> None:
  probabilities, labels = batch.probabilities, batch.labels
  for predicted in (probabilities, *(batch.baselines or {}).values()):
    if not ((predicted >= 0) & (predicted <= 1)).all():
      raise ValueError("probabilities must be in [0, 1]")
  if not ((labels == 0) | (labels == 1)).all():
    raise ValueError("labels must be 0 or 1")
  if not np.isfinite(batch.scores).all():
    raise ValueError("scores must be finite")
