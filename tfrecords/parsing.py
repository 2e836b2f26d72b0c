"""Serialized tf.Examples -> tensors, a whole batch at a time.

A feature that an Example lacks reads as 0; one of the wrong dtype or length is an error that
names the record (TensorFlow puts the record's name into the message).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Union

import tensorflow as tf

from tfrecords.recorded_probabilities import MISSING_PROBABILITY
from tfrecords.schema import VARIABLE_LENGTH, Feature

# What an absent label reads as until it is checked: no label ever holds it.
MISSING_LABEL = tf.int64.min

Parser = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


def make_parser(
  features: Mapping[str, Feature],
  labels: Collection[str] = (),
  probabilities: Collection[str] = (),
) -> Parser:
  """Returns a function that parses a batch of serialized tf.Examples.

  Args:
    features: what to parse, by name inside the model; nothing else is parsed.
    labels: those of `features` that read as MISSING_LABEL rather than 0 when absent.
    probabilities: those that read as MISSING_PROBABILITY when absent.

  Returns:
    A function of serialized Examples [batch] and the records' names for error messages [batch]
    (both strings) to a dict of tensors [batch, length], by name inside the model; a feature of
    variable length comes as a ragged tensor. Features with `masked_mantissa_bits` come masked.
  """
  by_record_name = {feature.record_name: feature for feature in features.values()}
  defaults = {
    **dict.fromkeys(probabilities, MISSING_PROBABILITY),
    **dict.fromkeys(labels, MISSING_LABEL),
  }
  specification = {
    record_name: _specification(feature, defaults.get(feature.name, 0))
    for record_name, feature in by_record_name.items()
  }

  def parse(serialized: tf.Tensor, record_names: tf.Tensor) -> dict[str, tf.Tensor]:
    parsed = tf.io.parse_example(serialized, specification, example_names=record_names)
    return {
      by_record_name[key].name: _mask_mantissa(tensor, by_record_name[key].masked_mantissa_bits)
      for key, tensor in parsed.items()
    }

  return parse


def mask_mantissa(values: tf.Tensor, n_bits: int) -> tf.Tensor:
  """Sets the low `n_bits` mantissa bits of float32 values to zero; keeps shape and dtype."""
  kept = tf.constant(-1 << n_bits, tf.int32)
  return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(values, tf.int32), kept), tf.float32)


def _mask_mantissa(
  tensor: Union[tf.Tensor, tf.RaggedTensor], n_bits: int
) -> Union[tf.Tensor, tf.RaggedTensor]:
  return tf.ragged.map_flat_values(mask_mantissa, tensor, n_bits) if n_bits else tensor


def _specification(feature: Feature, default: float) -> object:
  if feature.length == VARIABLE_LENGTH:
    return tf.io.RaggedFeature(feature.tensor_dtype)
  value = "" if feature.tensor_dtype is tf.string else default
  return tf.io.FixedLenFeature(
    [feature.length], feature.tensor_dtype, default_value=[value] * feature.length
  )
