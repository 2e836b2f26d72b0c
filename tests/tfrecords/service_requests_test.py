"""Only requests without an answer count."""

import threading
import time

import tensorflow as tf

from tfrecords.service_requests import ServiceRequests

_SECONDS = 60


def _numbers(held=None):
  """0, 1 and 2; the last one comes when `held` is set."""

  def produce(number):
    if number == 2 and held is not None:
      assert held.wait(_SECONDS)
    return number

  def map_number(number):
    return tf.ensure_shape(tf.numpy_function(produce, [number], tf.int64), [])

  return tf.data.Dataset.range(3).map(map_number)


def test_a_request_counts_until_its_answer():
  requests, held, found = ServiceRequests(), threading.Event(), []
  iterator = iter(requests.of(_numbers(held)))
  for expected in (0, 1):
    assert requests.oldest() is None
    assert int(next(iterator)) == expected
  reader = threading.Thread(target=lambda: found.extend(iterator))
  reader.start()
  deadline = time.monotonic() + _SECONDS
  while requests.oldest() is None:
    assert time.monotonic() < deadline
    time.sleep(0.01)
  assert requests.oldest() == 2
  held.set()
  reader.join()
  assert found == [2] and requests.oldest() is None


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
