"""Tests of `heavy_ranker.serving.precision_change`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heavy_ranker.config.export_precision import ExportPrecision
from heavy_ranker.serving.precision_change import (
  PrecisionChange,
  format_change,
  precision_change,
  require_small,
)
from tfrecords.errors import PrecisionError

SECTION = ExportPrecision(precision="int8", max_score_change=0.25, min_kendall_tau=0.5)


def outputs(scores, logits=None):
  logits = [[0.0, 0.0]] * len(scores) if logits is None else logits
  return {"score": np.float32(scores), "logits": np.float32(logits)}


def test_by_hand():
  before = outputs([0.0, 2.0, 4.0, 6.0], [[0, 1], [2, 3], [4, 5], [6, 7]])
  after = outputs([0.5, 4.0, 2.0, 6.0], [[0, 1], [2, 3.5], [4, 4], [6.25, 7]])
  change = precision_change(before, after, ["likes", "replies"])
  assert change.examples == 4
  assert change.largest_score_change == pytest.approx(2 / np.sqrt(5))
  assert change.mean_score_change == pytest.approx(4.5 / 4 / np.sqrt(5))
  assert change.kendall_tau == pytest.approx((5 - 1) / 6)
  assert change.largest_logit_changes == {"likes": 0.25, "replies": 1.0}


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=9), st.randoms(use_true_random=False))
def test_kendall_tau_counts_pairs(scores, random):
  changed = [random.randint(-3, 3) for _ in scores]
  pairs = [(i, j) for i in range(len(scores)) for j in range(i)]
  first = np.array([np.sign(scores[i] - scores[j]) for i, j in pairs])
  second = np.array([np.sign(changed[i] - changed[j]) for i, j in pairs])
  untied = np.abs(first).sum() * np.abs(second).sum()
  if not untied:
    return
  change = precision_change(outputs(scores), outputs(changed), ["likes", "replies"])
  assert change.kendall_tau == pytest.approx((first * second).sum() / np.sqrt(untied))


def change_of(largest, tau):
  return PrecisionChange(10, largest, 0.01, tau, {"likes": 0.03})


@pytest.mark.parametrize(("largest", "tau"), [(0.25, 0.5), (0.0, 1.0)])
def test_within_the_bounds(largest, tau):
  require_small(change_of(largest, tau), SECTION)


@pytest.mark.parametrize(
  ("largest", "tau", "words"),
  [
    (0.26, 0.9, "changes by 0.26 standard deviations, allowed: at most export.max_score_change"),
    (0.1, 0.49, "tau 0.490000, allowed: at least export.min_kendall_tau = 0.5"),
    (np.nan, 0.9, "changes by nan"),
    (0.1, np.nan, "tau nan"),
    (0.3, 0.4, "0.3 standard deviations.*; and Kendall's tau 0.4"),
  ],
)
def test_beyond_the_bounds(largest, tau, words):
  with pytest.raises(PrecisionError, match=words) as error:
    require_small(change_of(largest, tau), SECTION)
  assert error.value.exit_code == 8


def test_text():
  text = format_change(change_of(0.2, 0.75))
  for words in ("10 examples", "at most 0.2000", "average 0.01000", "tau is 0.750000", "3.00e-02"):
    assert words in text
