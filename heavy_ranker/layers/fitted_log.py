"""Raw feature values -> the network's input, fitted to the training data (`fitted_log`)."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.fitted_log import FittedLogConfig
from heavy_ranker.layers.finite import make_safe, replace_non_finite
from heavy_ranker.layers.signed_log import signed_log1p

# Deviations below this are rounding, not information.
_SMALLEST_DEVIATION = 1e-6
_FIT_ROWS = 4096


class FittedLog(keras.layers.Layer):
  """Signed logs of the columns that are kept, flags of missing values, rates, pieces, the others.

  A missing value (not finite) counts as the column's median. A rate is log((c + s r) / (n + s)) of
  c events on n occasions with the average rate r and the smoothing s: where there is no history it
  is log r, and more history moves it away from there but, unlike a count, never beyond what a rate
  can be. Pieces (Gorishniy et al., arXiv 2203.05556) say how far a value is on its way from one
  quantile to the next, 0 to 1. Everything is clipped to the range it had in the training data, so
  that what only grows with time says no more than it did then, standardized and clipped again.

  What is fitted are weights that no gradient changes; checkpoints and exports hold them. Until
  `fit` or a checkpoint sets them every output but the others' is 0.

  Args:
    config: columns, pieces, rates.
    name: the layer's name.

  Attributes:
    median: of each kept column's log, [k].
    average_rate: [rates].
    edges: quantiles of the logs of the columns that are cut, [cut, pieces + 1].
    low, high, mean, std: of each output before it is standardized, [width].
  """

  def __init__(self, config: FittedLogConfig, name: Optional[str] = None):
    super().__init__(name=name)
    self._config = config

  def build(self, input_shapes: Sequence[tf.TensorShape]) -> None:
    """Creates the weights."""
    config, width = self._config, int(input_shapes[0][-1])
    self._kept = [column for column in range(width) if column not in set(config.leave_out)]
    no_pieces = set(config.no_pieces_of) if config.pieces else set(self._kept)
    self._cut = [place for place, column in enumerate(self._kept) if column not in no_pieces]
    self._events = [column for rates in config.rates for column in rates.of]
    self._occasions = [rates.per for rates in config.rates for _ in rates.of]
    outputs = 2 * len(self._kept) + len(self._events) + len(self._cut) * config.pieces
    outputs += sum(int(shape[-1]) for shape in input_shapes[1:])
    self.median = self._add("median", len(self._kept))
    self.average_rate = self._add("average_rate", len(self._events), 0.5)
    self.edges = self._add("edges", len(self._cut), shape=(config.pieces + 1,))
    self.low, self.high = self._add("low", outputs), self._add("high", outputs)
    self.mean, self.std = self._add("mean", outputs), self._add("std", outputs, 1.0)
    super().build(input_shapes)

  def _add(
    self, name: str, length: int, value: float = 0.0, shape: tuple[int, ...] = ()
  ) -> tf.Variable:
    initializer = keras.initializers.Constant(value)
    return self.add_weight(name, (length, *shape), initializer=initializer, trainable=False)

  def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Maps continuous [batch, n] and what joins it, [batch, m] each, to [batch, width]."""
    net = tf.clip_by_value(self._raw(inputs), self.low, self.high)
    net = tf.math.divide_no_nan(net - self.mean, self.std)
    return tf.clip_by_value(net, -self._config.clip_magnitude, self._config.clip_magnitude)

  def _raw(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the outputs before they are standardized."""
    continuous, *others = inputs
    kept = tf.gather(continuous, tf.constant(self._kept, tf.int32), axis=1)
    is_present = tf.math.is_finite(kept)
    logs = tf.where(is_present, signed_log1p(replace_non_finite(kept)), self.median)
    missing = 1.0 - tf.cast(is_present, tf.float32)
    parts = [logs, missing, self._rates(continuous), *self._pieces(logs)]
    return tf.concat([*parts, *(make_safe(other) for other in others)], axis=-1)

  def _rates(self, continuous: tf.Tensor) -> tf.Tensor:
    events, occasions = (
      _counts(tf.gather(continuous, tf.constant(columns, tf.int32), axis=1))
      for columns in (self._events, self._occasions)
    )
    smoothing = self._config.smoothing
    return tf.math.log((events + smoothing * self.average_rate) / (occasions + smoothing))

  def _pieces(self, logs: tf.Tensor) -> list[tf.Tensor]:
    if not self._cut:
      return []
    values = tf.gather(logs, tf.constant(self._cut, tf.int32), axis=1)[:, :, tf.newaxis]
    start, end = self.edges[:, :-1], self.edges[:, 1:]
    pieces = tf.clip_by_value(tf.math.divide_no_nan(values - start, end - start), 0.0, 1.0)
    return [tf.reshape(pieces, (-1, len(self._cut) * self._config.pieces))]

  def fit(self, inputs: Sequence[np.ndarray]) -> None:
    """Sets all weights.

    Args:
      inputs: as in `call`, float32 [examples, ...]; at least one example.
    """
    continuous = np.asarray(inputs[0], np.float32)
    kept = continuous[:, self._kept]
    logs = np.sign(kept) * np.log1p(np.abs(kept, dtype=np.float64))
    logs = np.where(np.isfinite(kept), logs, np.nan)
    median = np.array([_median(column) for column in logs.T]).reshape(-1)
    self.median.assign(median.astype(np.float32))
    if self._events:
      # A rate of 0 has no log.
      events = _np_counts(continuous[:, self._events]).sum(axis=0) + 0.5
      occasions = _np_counts(continuous[:, self._occasions]).sum(axis=0) + 1.0
      self.average_rate.assign((events / occasions).astype(np.float32))
    if self._cut:
      filled = np.where(np.isnan(logs), median, logs)[:, self._cut].astype(np.float32)
      self.edges.assign(np.quantile(filled, np.linspace(0, 1, self._config.pieces + 1), axis=0).T)
    self._fit_scales(inputs)

  def _fit_scales(self, inputs: Sequence[np.ndarray]) -> None:
    low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
    rows = len(inputs[0])
    for start in range(0, rows, _FIT_ROWS):
      chunk = [tf.constant(each[start : start + _FIT_ROWS], tf.float32) for each in inputs]
      raw = self._raw(chunk).numpy().astype(np.float64)
      low, high = np.minimum(low, raw.min(axis=0)), np.maximum(high, raw.max(axis=0))
      total, squares = total + raw.sum(axis=0), squares + np.square(raw).sum(axis=0)
    mean = total / rows
    std = np.sqrt(np.maximum(squares / rows - np.square(mean), 0.0))
    std[std <= _SMALLEST_DEVIATION * np.maximum(1.0, np.abs(mean))] = 0.0
    for variable, values in ((self.low, low), (self.high, high), (self.mean, mean)):
      variable.assign(values.astype(np.float32))
    self.std.assign(std.astype(np.float32))


def _counts(values: tf.Tensor) -> tf.Tensor:
  return tf.maximum(replace_non_finite(values), 0.0)


def _np_counts(values: np.ndarray) -> np.ndarray:
  return np.maximum(np.where(np.isfinite(values), values, 0.0), 0.0).astype(np.float64)


def _median(values: np.ndarray) -> float:
  found = values[~np.isnan(values)]
  return float(np.median(found)) if len(found) else 0.0
