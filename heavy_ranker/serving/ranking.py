"""A server's answer as a ranking: the best candidates first, as a table or as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tabulate import tabulate

SCORE = "score"
_PROBABILITIES_SHOWN = 3


@dataclass(frozen=True)
class Ranking:
  """Candidates in the order of their scores.

  Attributes:
    order: which candidate is on each position, [n]; the earlier one of two equal scores first.
    ids: what goes with the candidates, in their own order, by name.
    scores: [n], in the candidates' own order.
    probabilities: by task, [n] each, in the candidates' own order.
  """

  order: np.ndarray
  ids: Mapping[str, np.ma.MaskedArray]
  scores: np.ndarray
  probabilities: Mapping[str, np.ndarray]

  def table(self, k: int) -> str:
    """Returns the first k: position, candidate, ids, score, the largest probabilities."""
    rows = [
      [
        position,
        candidate,
        *(_id(column, candidate) for column in self.ids.values()),
        f"{self.scores[candidate]:.5g}",
        self._largest(candidate),
      ]
      for position, candidate in enumerate(self.order[:k], 1)
    ]
    headings = ["position", "candidate", *self.ids, SCORE, "largest probabilities"]
    alignment = ["right"] * (len(headings) - 1) + ["left"]
    return tabulate(rows, headings, disable_numparse=True, colalign=alignment if rows else None)

  def as_data(self) -> list[dict[str, Any]]:
    """Returns all candidates, the best first, as JSON takes them."""
    return [
      {
        "position": position,
        "candidate": int(candidate),
        "ids": {name: _id(column, candidate) for name, column in self.ids.items()},
        SCORE: float(self.scores[candidate]),
        "probabilities": {
          task: float(values[candidate]) for task, values in self.probabilities.items()
        },
      }
      for position, candidate in enumerate(self.order, 1)
    ]

  def _largest(self, candidate: int) -> str:
    found = {task: values[candidate] for task, values in self.probabilities.items()}
    largest = sorted(found, key=lambda task: -found[task])[:_PROBABILITIES_SHOWN]
    return ", ".join(f"{task.rsplit('.', 1)[-1]} {found[task]:.3g}" for task in largest)


def rank(outputs: Mapping[str, np.ndarray], ids: Mapping[str, np.ma.MaskedArray]) -> Ranking:
  """Orders candidates by score.

  Args:
    outputs: a server's answer: `score` [n], and each task's probability [n], or only
      `probabilities` [n, tasks].
    ids: by name, [n].
  """
  scores = outputs[SCORE]
  order = np.argsort(-scores, kind="stable")
  return Ranking(order, ids, scores, _probabilities(outputs))


def _probabilities(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns a column a task, by its place where the signature `rank` leaves the names out."""
  scores = outputs[SCORE]
  named = {
    name: values
    for name, values in outputs.items()
    if name != SCORE and values.shape == scores.shape and values.dtype.kind == "f"
  }
  joined = outputs.get("probabilities")
  if named or joined is None or joined.ndim != 2:
    return named
  return {f"task {place}": column for place, column in enumerate(joined.T)}


def _id(column: np.ma.MaskedArray, candidate: int) -> Any:
  value = column[candidate]
  if value is np.ma.masked:
    return None
  return value.decode(errors="backslashreplace") if isinstance(value, bytes) else int(value)
