"""Only requests without an answer count."""

import threading
import time

import tensorflow as tf

from tfrecords.service_requests import ServiceRequests

_SECONDS = 60


def _numbers(held=()):
  """0, 1 and 2, each of which comes when its `held` is set."""

  def produce(number):
    assert not held or held[number].wait(_SECONDS)
    return number

  def map_number(number):
    return tf.ensure_shape(tf.numpy_function(produce, [number], tf.int64), [])

  return tf.data.Dataset.range(3).map(map_number)


def test_a_request_counts_until_its_answer():
  requests, held, found = ServiceRequests(), [threading.Event() for _ in range(3)], []
  dataset = requests.of(_numbers(held))
  assert requests.oldest() is None
  reader = threading.Thread(target=lambda: found.extend(dataset.as_numpy_iterator()))
  reader.start()
  deadline = time.monotonic() + _SECONDS
  for number in range(3):
    while requests.oldest() != number:
      assert time.monotonic() < deadline
      time.sleep(0.01)
    assert len(found) <= number
    held[number].set()
  reader.join()
  assert found == [0, 1, 2] and requests.oldest() is None


def test_a_prefetch_and_the_end_leave_nothing_open():
  requests = ServiceRequests()
  dataset = requests.of(_numbers()).prefetch(2)
  assert list(dataset.take(1)) == [0]
  requests.forget()
  assert list(dataset.as_numpy_iterator()) == [0, 1, 2]
  assert requests.oldest() is None


def test_elements_and_their_structure_stay_the_same():
  requests = ServiceRequests()
  elements = ({"a": [[1.0], [2.0], [3.0]]}, tf.ragged.constant([[1], [], [2, 3]]), ["x", "y", "z"])
  dataset = tf.data.Dataset.from_tensor_slices(elements).batch(2)
  asked = requests.of(dataset)
  assert asked.element_spec == dataset.element_spec
  for (mine, ragged, text), (expected, its_ragged, its_text) in zip(asked, dataset):
    tf.debugging.assert_equal(mine["a"], expected["a"])
    assert ragged.to_list() == its_ragged.to_list()
    tf.debugging.assert_equal(text, its_text)
