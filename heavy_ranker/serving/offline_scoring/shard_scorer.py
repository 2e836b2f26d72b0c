"""Scores the records of one file, in their order, a batch on each core at a time."""

from collections.abc import Iterator, Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.offline_scoring.example_scorer import ExampleScorer
from heavy_ranker.serving.offline_scoring.record_ids import IdReader
from heavy_ranker.serving.offline_scoring.score_file import SCORE, ScoredBatch
from heavy_ranker.serving.offline_scoring.threaded import in_threads
from tfrecords import diagnosis
from tfrecords.errors import CheckpointError, DataError
from tfrecords.shards import Shard

# TensorFlow quotes a record it cannot parse, and fails to when that is no UTF-8.
_UNUSABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


class ShardScorer:
  """Scores files one after the other. Holds a handful of batches in memory, however long they are.

  Args:
    scorer: the model.
    ids: reads what is copied.
    batch_size: records a batch.
  """

  def __init__(self, scorer: ExampleScorer, ids: IdReader, batch_size: int):
    self._scorer, self._ids, self._batch_size = scorer, ids, batch_size

  def score(self, shard: Shard) -> Iterator[tuple[ScoredBatch, np.ndarray]]:
    """Yields the batches of a file, scored, with the bytes of each record [n].

    Raises:
      DataError: the file is damaged, or a record cannot be used; names it.
      CheckpointError: the model's output for a record is not finite.
    """

    def score(records: tf.Tensor, start: int) -> tuple[ScoredBatch, np.ndarray]:
      return self._score_batch(records, start, shard.path)

    with diagnosis.Explained([shard], self._ids.check, "--inputs"):
      yield from in_threads(score, self._batches(shard), self._batch_size)

  def _batches(self, shard: Shard) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(shard.path, compression_type=shard.compression)
    return records.batch(self._batch_size).prefetch(1)

  def _score_batch(
    self, records: tf.Tensor, start: int, path: str
  ) -> tuple[ScoredBatch, np.ndarray]:
    ids = self._ids.read(records, start, path)
    try:
      outputs = self._scorer.function(records)
    except _UNUSABLE as error:
      row = self._first_unusable(records)
      if row is None:
        raise
      raise self._unusable(f"{path}: record {start + row}", records[row], error) from None
    scores = finite_scores(self._scorer, outputs, start, f"{path}: record")
    return ScoredBatch(ids, scores), tf.strings.length(records).numpy()

  def _first_unusable(self, records: tf.Tensor) -> Optional[int]:
    """Returns the first record the model refuses, by halving; None when it takes each of them."""
    start, end = 0, len(records)
    while end - start > 1:
      middle = (start + end) // 2
      if self._refuses(records[start:middle]):
        end = middle
      else:
        start = middle
    return start if self._refuses(records[start:end]) else None

  def _refuses(self, records: tf.Tensor) -> bool:
    try:
      self._scorer.function(records)
    except _UNUSABLE:
      return True
    return False

  def _unusable(self, place: str, record: tf.Tensor, error: diagnosis.ReadingError) -> DataError:
    problem = self._ids.check.problem(record.numpy())
    if problem is not None:
      return DataError(f"{place}: {problem}")
    return DataError(
      f"{place}: the model cannot read it: {diagnosis.what_failed(error)}. Write the file again, "
      "or use a model of such records"
    )


def finite_scores(
  scorer: ExampleScorer, outputs: Mapping[str, tf.Tensor], start: int, where: str
) -> dict[str, np.ndarray]:
  """Returns a batch's scores by column, float32 [n].

  Args:
    scorer: the model.
    outputs: what it says of the batch.
    start: the place of the batch's first row.
    where: what that is a place in, for the message.

  Raises:
    CheckpointError: one is not finite.
  """
  scores = {name: outputs[name].numpy() for name in (SCORE, *scorer.tasks)}
  finite = np.all([np.isfinite(values) for values in scores.values()], axis=0)
  if not finite.all():
    raise CheckpointError(
      f"{scorer.origin}: what the model says of a record is not finite ({where} "
      f"{start + int(np.argmin(finite))}); use another model"
    )
  return scores
