"""Logits of sampled data -> logits of all data."""

from collections.abc import Sequence

import numpy as np

from tfrecords.config.data import DataConfig


def sampling_offsets(ratios: Sequence[float]) -> np.ndarray:
  """Returns what has to be added to each task's logit, float32 [tasks].

  p -> p r / (1 - p + r p) is the same as logit -> logit + log r, which loses no digits.

  Args:
    ratios: r = neg_downsampling_rate / pos_downsampling_rate by position of the task, above 0.
  """
  return np.log(np.asarray(ratios, np.float64)).astype(np.float32)


def sampling_ratios(train_data: DataConfig, tasks: Sequence[str]) -> list[float]:
  """Returns r for each task: 1 unless `sampling_correction` is `calibration`.

  Sampling is made good exactly once: a loss weighted by the rates already predicts the
  probabilities of all data.
  """
  if train_data.sampling_correction != "calibration":
    return [1.0] * len(tasks)
  rates = [train_data.tasks[task] for task in tasks]
  return [rate.neg_downsampling_rate / rate.pos_downsampling_rate for rate in rates]
