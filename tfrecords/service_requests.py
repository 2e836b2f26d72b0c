"""Knows since when a batch of a tf.data service is waited for."""

import itertools
import threading
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrecords.empty_batch import empty_batch


class ServiceRequests:
  """The requests for elements of a dataset that have no answer yet.

  Only those count: a service is not late while whoever reads is busy with earlier batches.
  """

  def __init__(self):
    self._numbers = itertools.count()
    self._lock = threading.Lock()
    self._open: set[int] = set()

  def oldest(self) -> Optional[int]:
    """Returns the number of the request that has waited longest, or None if there is none."""
    with self._lock:
      return min(self._open, default=None)

  def forget(self) -> None:
    """Forgets all; those of a reader that has been given up never get an answer."""
    with self._lock:
      self._open.clear()

  def of(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the same dataset, whose requests are taken note of from now on."""
    # An end of its own, so that the request which finds the end is answered as well.
    end = tf.data.Dataset.from_tensors((empty_batch(dataset.element_spec), True))
    answers = dataset.map(lambda *element: (_one(element), False)).concatenate(end)
    # A zip asks for the first of its parts first, and waits for the second one.
    asked = tf.data.Dataset.counter().map(self._ask)
    answered = tf.data.Dataset.zip((asked, answers)).map(self._answer)
    return answered.take_while(lambda _, is_end: tf.logical_not(is_end)).map(
      lambda element, _: element
    )

  def _ask(self, _: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(self._begin, [], tf.int64), [])

  def _answer(self, number: tf.Tensor, answer: tuple) -> tuple:
    with tf.control_dependencies([tf.numpy_function(self._end, [number], [])]):
      return tf.nest.map_structure(tf.identity, answer)

  def _begin(self) -> np.int64:
    with self._lock:
      number = next(self._numbers)
      self._open.add(number)
    return np.int64(number)

  def _end(self, number: np.int64) -> None:
    with self._lock:
      self._open.discard(int(number))


def _one(element: tuple) -> object:
  return element if len(element) > 1 else element[0]
