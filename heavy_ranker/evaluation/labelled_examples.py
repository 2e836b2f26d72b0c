"""The first examples of a partition, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfrecords.config.data import DataConfig
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.progress import progress_bar


@dataclass(frozen=True)
class LabelledExamples:
  """Examples in memory.

  Attributes:
    features: the model's inputs by name, [n, width].
    labels: 0 or 1, [n, tasks].
    weights: weight of each label, [n, tasks].
    is_everything: whether the partition has no others.
  """

  features: Mapping[str, np.ndarray]
  labels: np.ndarray
  weights: np.ndarray
  is_everything: bool = True


def read_examples(
  partition: DataConfig,
  key: str,
  inputs: Sequence[str],
  tasks: Sequence[str],
  max_examples: int,
) -> LabelledExamples:
  """Reads a partition from its beginning.

  Args:
    partition: its section.
    key: its path in the configuration, for the messages.
    inputs: the features to keep.
    tasks: the labels to keep.
    max_examples: how many examples at most.

  Raises:
    DataError: a record cannot be read, or there is none.
  """
  pipeline = InputPipeline(partition, "evaluate", inputs, tasks, key)
  parts: list[tuple[np.ndarray, ...]] = []
  size = 0
  bar = progress_bar(max_examples, f"reading {key}", unit="example")
  with pipeline.explained(), bar:
    for features, labels, weights in pipeline.dataset:
      of_batch = [features[name].numpy() for name in inputs]
      of_batch += [
        np.stack([of[task].numpy() for task in tasks], axis=1) for of in (labels, weights)
      ]
      parts.append(tuple(of_batch))
      size += len(of_batch[-1])
      bar.update(len(of_batch[-1]))
      if size > max_examples:
        break
  if pipeline.skipped is not None and pipeline.skipped.summary() is not None:
    if not parts:
      raise pipeline.skipped.nothing_left()
    print(pipeline.skipped.summary())
  if not parts:
    raise DataError(f"{key}: nothing was read, allowed: at least one record in its files")
  joined = [np.concatenate(arrays)[:max_examples] for arrays in zip(*parts)]
  *columns, labels, weights = joined
  return LabelledExamples(dict(zip(inputs, columns)), labels, weights, size <= max_examples)
