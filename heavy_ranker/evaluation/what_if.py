"""How other weights of the score would change the order of each user's examples.

Nothing is trained or predicted anew: the probabilities of an evaluation are added up differently.
Labels are those of the order that people saw, which other weights would have changed.
"""

import math
from typing import Any, Optional

import numpy as np

from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation import prediction_keys
from heavy_ranker.evaluation.confidence import Confidence
from heavy_ranker.evaluation.partition_meter import PartitionMeter
from heavy_ranker.evaluation.partition_users import PartitionUsers, weighted_mean
from heavy_ranker.evaluation.rank_correlation import user_kendall_taus
from heavy_ranker.evaluation.score_terms import ScoreTerms
from heavy_ranker.evaluation.top_places import top_chances, top_overlaps
from heavy_ranker.evaluation.user_metrics import user_rankings

_NO_ROOM = "no user's examples fit into evaluation.max_examples_in_memory"


def what_if(meter: PartitionMeter, users: PartitionUsers, confidence: Confidence) -> dict[str, Any]:
  """Compares the scenarios of `evaluation.what_if` with the score as it is.

  Args:
    meter: the partition, read to its end.
    users: its users.
    confidence: draws resamples of them.

  Returns:
    The partition's "what_if" of evaluation/step-N.json, see docs/evaluation.md; undefined values
    are NaN.
  """
  subject = meter.subject
  scenarios = subject.settings.what_if
  reason = subject.no_users if len(meter.store) or subject.no_users else _NO_ROOM
  cutoffs = list(subject.settings.ranking_cutoffs)
  result = {"reason": reason, "cutoff": cutoffs[0], "scenarios": []}
  if reason is not None:
    result["scenarios"] = [
      {"name": name, "weights": _weights_of(meter, subject.score.with_weights(weights))}
      for name, weights in scenarios.items()
    ]
    return result
  comparison = _Comparison(meter, users, confidence)
  result["present"] = comparison.present()
  result["scenarios"] = [
    {"name": name, **comparison.with_score(subject.score.with_weights(weights))}
    for name, weights in scenarios.items()
  ]
  return result


class _Comparison:
  """The order by the score as it is, to compare others with."""

  def __init__(self, meter: PartitionMeter, users: PartitionUsers, confidence: Confidence):
    self._meter, self._users, self._confidence = meter, users, confidence
    self._cutoffs = list(meter.subject.settings.ranking_cutoffs)
    # Examples stand in the order of their users: sorting them by score is much faster then.
    self._order = np.argsort(users.of_examples, kind="stable")
    self._of_examples = users.of_examples[self._order], users.count
    self._engaged = users.engaged()[self._order]
    # Computed like the scenarios' rather than taken from the model, so that rounding moves nobody.
    self._scores = self._scores_by(meter.subject.score)
    self._ndcgs = self._user_ndcgs(self._scores)
    self._chances = {k: self._top_chances(self._scores, k) for k in {1, *self._cutoffs}}

  def present(self) -> dict[str, float]:
    """Returns the NDCG of the score as it is, at each cutoff."""
    return {name: weighted_mean(column) for name, column in self._ndcgs.items()}

  def with_score(self, score: ScoreConfig) -> dict[str, Any]:
    """Returns what another score changes."""
    scores = self._scores_by(score)
    ndcgs = self._user_ndcgs(scores)
    columns = {
      **ndcgs,
      **{_change(name): ndcgs[name] - self._ndcgs[name] for name in ndcgs},
      "kendall_tau": user_kendall_taus(*self._of_examples, self._scores, scores),
      "top_1_changed": 1 - self._overlaps(scores, 1),
      **{f"overlap@{k}": self._overlaps(scores, k) for k in self._cutoffs},
    }
    values = {name: weighted_mean(column) for name, column in columns.items()}
    return {
      "weights": _weights_of(self._meter, score),
      "metrics": values,
      "reasons": {name: self._reason(name) for name in values if math.isnan(values[name])},
      "confidence": self._confidence.of_means(values, columns),
      "top_tasks": self._top_tasks(self._top_chances(scores, self._cutoffs[0])),
    }

  def _reason(self, metric: str) -> str:
    if metric == "kendall_tau":
      return "no user has two examples with different scores"
    if not self._users.engaging_tasks():
      return "no task that is measured has a positive weight in the score"
    return "no user engaged with anything"

  def _probabilities(self, task: str) -> np.ndarray:
    place = self._meter.stored_tasks.index(task)
    return prediction_keys.probabilities_of(self._meter.store.keys(place)[self._order])

  def _scores_by(self, score: ScoreConfig) -> np.ndarray:
    tasks = self._meter.subject.model_tasks
    return ScoreTerms(score, tasks).scores([self._probabilities(task) for task in tasks])

  def _user_ndcgs(self, scores: np.ndarray) -> dict[str, np.ndarray]:
    columns = user_rankings(*self._of_examples, scores, self._engaged, self._cutoffs)
    return {name: column for name, column in columns.items() if name.startswith("ndcg")}

  def _top_chances(self, scores: np.ndarray, cutoff: int) -> np.ndarray:
    return top_chances(*self._of_examples, scores, cutoff)

  def _overlaps(self, scores: np.ndarray, cutoff: int) -> np.ndarray:
    chances = self._chances[cutoff], self._top_chances(scores, cutoff)
    return top_overlaps(*self._of_examples, *chances)

  def _top_tasks(self, chances: np.ndarray) -> dict[str, dict[str, Optional[float]]]:
    """Returns what the first places hold of each task, before and by another score's chances."""
    before, tasks = self._chances[self._cutoffs[0]], {}
    for task in self._meter.subject.model_tasks:
      probabilities = self._probabilities(task)
      tasks[task] = {
        "predicted_before": _mean(probabilities, before),
        "predicted": _mean(probabilities, chances),
      }
    for place, task in enumerate(self._meter.subject.tasks):
      labels = prediction_keys.labels_of(self._meter.store.keys(place)[self._order])
      tasks[task].update(observed_before=_mean(labels, before), observed=_mean(labels, chances))
    return tasks


def _change(name: str) -> str:
  return name.replace("@", "_change@")


def _weights_of(meter: PartitionMeter, score: ScoreConfig) -> dict[str, float]:
  return {task: float(score.weight_of(task) or 0.0) for task in meter.subject.model_tasks}


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
  return float(np.dot(values.astype(np.float64), weights) / weights.sum())
