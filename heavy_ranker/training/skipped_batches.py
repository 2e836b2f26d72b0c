"""Batches whose loss or gradients are not finite: told with their evidence, skipped or the end."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.training.batch_evidence import (
  count_evidence,
  evidence_folder,
  evidence_name,
  write_evidence,
)
from heavy_ranker.training.multi_task_ranker import PlacedBatch
from tfrecords.errors import StorageError, TrainingError

_MOST_RECORDS_SHOWN = 3
_MOST_SUSPECTS = 100


class SkippedBatches:
  """Counts, writes down and reports the batches of a run that were not used.

  Args:
    save_dir: the run's folder; the evidence goes to `evidence_folder` of it.
    first_step: updates made before this process; what was skipped on the way to them counts.
    allowed: how many may be skipped in all.
    ranker: the model, to find out which records it cannot be computed for.
    tasks: its tasks in order.
    groups: the gradients' groups in order.
    files: paths of the files that batches name by number.
    worker: which of several workers this is; each writes down its part of the batch.
  """

  def __init__(
    self,
    save_dir: str,
    first_step: int,
    allowed: int,
    ranker: keras.Model,
    tasks: Sequence[str],
    groups: Sequence[str],
    files: Sequence[str],
    worker: int = 0,
  ):
    self._save_dir, self._allowed, self._ranker = save_dir, allowed, ranker
    self._tasks, self._groups, self._files = tasks, groups, files
    self._worker = worker
    self._count = count_evidence(save_dir, first_step)
    self._of_step = (first_step, 0)

  def add(self, step: int, outputs: Mapping[str, tf.Tensor], batch: PlacedBatch, last: str) -> str:
    """Writes the evidence of a batch down and returns what to tell.

    Args:
      step: the update it was for, from 1.
      outputs: of `GuardedUpdates`.
      batch: the global batch, places included.
      last: the newest checkpoint, for the message; empty if there is none.

    Raises:
      TrainingError: no more batches may be skipped.
    """
    stops = self._count >= self._allowed
    number = self._of_step[1] + 1 if self._of_step[0] == step else 1
    self._of_step = (step, number)
    name = evidence_name(step, None if stops else number, self._worker)
    losses = {"loss": float(outputs["loss"])}
    losses.update(zip(self._tasks, outputs["task_losses"].numpy().tolist()))
    norms = dict(zip(self._groups, outputs["gradient_norms"].numpy().tolist()))
    suspects = self._suspects(batch)
    content = {
      "step": step,
      "skipped_before": self._count,
      "losses": losses,
      "gradient_norms": norms,
      "records": self._records(batch),
      "suspects": suspects[:_MOST_SUSPECTS],
    }
    text = f"step {step}: {_what(losses, norms)}; {self._whose(content['records'], suspects)}"
    try:
      path = write_evidence(self._save_dir, name, content, batch)
      text += f". The batch, losses and gradient norms are in {path} and the .npz beside it"
    except StorageError as error:
      text += f". {error}"
    if stops:
      raise TrainingError(
        f"{text}. No checkpoint of this state is written; "
        + (f"the last good one is {last}. " if last else "there is none yet. ")
        + self._way_out()
      )
    self._count += 1
    return f"{text}. Skipped, {self._count} of {self._allowed} (training.max_skipped_batches)"

  def summary(self) -> str:
    """Returns how many batches the run has skipped; empty if none."""
    if not self._count:
      return ""
    return (
      f"{self._count} of at most {self._allowed} batch(es) (training.max_skipped_batches); their "
      f"evidence is in {evidence_folder(self._save_dir)}"
    )

  def _way_out(self) -> str:
    way = "Lower the learning rates or clip the gradients (optimizer.gradient_clipping), or mend "
    way += "the records; training.max_skipped_batches "
    if self._allowed:
      return f"{way}({self._allowed}) are used up"
    return f"{way}leaves out so many such batches"

  def _records(self, batch: PlacedBatch) -> dict[str, list[int]]:
    places = batch[3]
    found: dict[str, list[int]] = {}
    for number, position in zip(places["file"].numpy(), places["position"].numpy().tolist()):
      found.setdefault(self._files[number], []).append(position)
    return {path: sorted(positions) for path, positions in sorted(found.items())}

  def _suspects(self, batch: PlacedBatch) -> list[dict[str, object]]:
    """Returns the rows with a logit, label or weight that is not finite, and what else is not.

    Inputs alone are no reason: most featurizations replace those that are not finite.
    """
    features, labels, weights, places = batch
    files, positions = places["file"].numpy(), places["position"].numpy()
    outcome = {"logits": _bad_rows(self._ranker(features, training=False)["logits"])}
    for kind, values in (("label", labels), ("weight", weights)):
      outcome.update({f"{kind} {task}": _bad_rows(each) for task, each in values.items()})
    not_finite = {**outcome, **{name: _bad_rows(values) for name, values in features.items()}}
    return [
      {
        "file": self._files[files[row]],
        "position": int(positions[row]),
        "not_finite": [name for name, rows in not_finite.items() if rows[row]],
      }
      for row in np.flatnonzero(np.any(list(outcome.values()), axis=0))
    ]

  def _whose(self, records: Mapping[str, list[int]], suspects: Sequence[Mapping]) -> str:
    size = sum(map(len, records.values()))
    if not suspects:
      shown = [f"{path}: record {positions[0]}" for path, positions in records.items()]
      names = "; ".join(shown[:_MOST_RECORDS_SHOWN]) + (" ..." if size > len(shown[:3]) else "")
      return f"all of the batch's {size} records are finite by themselves ({names})"
    shown = [
      f"{each['file']}: record {each['position']} ({', '.join(each['not_finite'])})"
      for each in suspects[:_MOST_RECORDS_SHOWN]
    ]
    names = "; ".join(shown) + (" ..." if len(suspects) > len(shown) else "")
    return f"{len(suspects)} of the batch's {size} records are not finite by themselves: {names}"


def _what(losses: Mapping[str, float], norms: Mapping[str, float]) -> str:
  bad_losses = [name for name, value in losses.items() if not np.isfinite(value)]
  bad_norms = ", ".join(name for name, value in norms.items() if not np.isfinite(value))
  if not bad_losses:
    return f"the gradients are not finite ({bad_norms})"
  return f"the loss is not finite ({', '.join(bad_losses)})" + (
    f", nor are the gradients ({bad_norms})" if bad_norms else ""
  )


def _bad_rows(values: tf.Tensor) -> np.ndarray:
  values = values.numpy()
  if values.dtype.kind != "f":
    return np.zeros([len(values)], bool)
  return ~np.isfinite(values).reshape([len(values), -1]).all(axis=1)
