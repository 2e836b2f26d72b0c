"""Tests of `heavy_ranker.serving.offline_scoring.threaded`."""

import time

import pytest

from heavy_ranker.serving.offline_scoring.threaded import in_threads


def test_results_come_in_the_order_of_the_batches():
  def score(batch, start):
    time.sleep(0.02 if start == 0 else 0)
    return batch, start

  assert list(in_threads(score, iter("abcdef"), 3)) == list(zip("abcdef", range(0, 18, 3)))


def test_few_batches_are_taken_ahead():
  taken = []

  def batches():
    for number in range(9):
      taken.append(number)
      yield number

  results = in_threads(lambda batch, start: batch, batches(), 1)
  assert next(results) == 0
  assert len(taken) <= 3


def test_an_error_ends_it():
  with pytest.raises(ZeroDivisionError):
    list(in_threads(lambda batch, start: 1 // batch, [1, 0, 1], 1))
