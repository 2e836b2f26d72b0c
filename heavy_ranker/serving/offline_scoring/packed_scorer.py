"""Scores the examples of packed files: what records give after parsing and preprocessing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.offline_scoring.example_scorer import ExampleScorer
from heavy_ranker.serving.offline_scoring.record_ids import PREFIX
from heavy_ranker.serving.offline_scoring.score_file import ScoredBatch
from heavy_ranker.serving.offline_scoring.shard_scorer import finite_scores
from heavy_ranker.serving.offline_scoring.threaded import in_threads
from tfrecords.errors import ConfigError
from tfrecords.packed import recipes
from tfrecords.packed.manifest import PackedArray
from tfrecords.packed.shard_reader import ShardReader
from tfrecords.schema import Feature
from tfrecords.shards import Shard

_AGAIN = "Pack the records again with //tfrecords:pack"


def find_packed_ids(
  reader: ShardReader, names: Optional[Sequence[str]] = None
) -> tuple[Feature, ...]:
  """Returns the ids to copy: packed features of one integer, by their names in the records.

  Args:
    reader: of the packed files.
    names: the ids, in this order; None takes those whose name begins with "meta.".

  Raises:
    ConfigError: an id is named twice, or was not packed.
  """
  found = _single_integers(reader)
  if names is None:
    names = sorted(name for name in found if name.startswith(PREFIX))
  for name, count in Counter(names).items():
    if count > 1:
      raise ConfigError(f"--ids: found {name!r} {count} times, allowed: once")
    if name not in found:
      raise ConfigError(
        f"--ids: found {name!r}, allowed: features of one integer that were packed: "
        f"{', '.join(sorted(found)) or 'none'}. {_AGAIN} with it among --features, or score the "
        "records themselves"
      )
  return tuple(Feature(name, name, "int64_list", 1) for name in names)


def _single_integers(reader: ShardReader) -> dict[str, str]:
  """Returns the names inside the model of the packed features of one integer, by record name."""
  return {
    array.recipe["record_name"]: name
    for name, array in reader.features.items()
    if array.dtype == "int64" and array.width == 1
  }


class PackedScorer:
  """Scores packed files one after the other; the counterpart of ShardScorer.

  Args:
    scorer: the model.
    ids: what is copied, from `find_packed_ids`.
    batch_size: examples a batch.
    reader: of the files.

  Raises:
    ConfigError: what was packed lacks an input of the model, or holds it otherwise.
  """

  def __init__(
    self, scorer: ExampleScorer, ids: Sequence[Feature], batch_size: int, reader: ShardReader
  ):
    self._scorer, self._batch_size, self._reader = scorer, batch_size, reader
    names = _single_integers(reader)
    self._ids = {feature.name: names[feature.name] for feature in ids}
    for name, spec in scorer.inputs.items():
      _check_input(name, spec, reader.features, scorer)

  def score(self, shard: Shard) -> Iterator[tuple[ScoredBatch, np.ndarray]]:
    """Yields the batches of a file, scored, with about the bytes of each example [n].

    Raises:
      DataError: the file is damaged, or a record is no packed one; names it.
      CheckpointError: the model's output for an example is not finite.
    """
    names = dict.fromkeys([*self._scorer.inputs, *self._ids.values()])
    n_bytes = self._reader.bytes_an_example(shard)

    def score(batch: Mapping[str, tf.Tensor], start: int) -> tuple[ScoredBatch, np.ndarray]:
      outputs = self._scorer.of_inputs({name: batch[name] for name in self._scorer.inputs})
      scores = finite_scores(self._scorer, outputs, start, f"{shard.path}: example")
      ids = {
        record_name: np.ma.masked_array(batch[name].numpy()[:, 0])
        for record_name, name in self._ids.items()
      }
      scored = ScoredBatch(ids, scores)
      return scored, np.full(len(scored), n_bytes)

    with self._reader.explained(shard):
      batches = self._reader.batches(shard, list(names), self._batch_size)
      yield from in_threads(score, batches, self._batch_size)


def _check_input(
  name: str, spec: tf.TensorSpec, packed: Mapping[str, PackedArray], scorer: ExampleScorer
) -> None:
  array = packed.get(name)
  if array is None:
    raise ConfigError(
      f"--inputs: {name!r}, an input of {scorer.origin}, was not packed; found: "
      f"{', '.join(packed)}. {_AGAIN}; --features names what is packed"
    )
  found, wanted = (array.width, array.dtype == "int64"), (spec.shape[-1], spec.dtype == tf.int64)
  if found != wanted:
    kinds = {True: "integer(s)", False: "float(s)"}
    raise ConfigError(
      f"--inputs: {name!r}: found {found[0]} {kinds[found[1]]} an example, allowed: "
      f"{wanted[0]} {kinds[wanted[1]]}, which {scorer.origin} reads. {_AGAIN} with the "
      "configuration of that model"
    )
  differences = recipes.differences(array.recipe, scorer.recipes.get(name, array.recipe))
  problem = "; ".join(differences)
  if problem:
    raise ConfigError(
      f"--inputs: {name!r}: {problem}. {_AGAIN} with this configuration, or use the one they were "
      "packed with"
    )
