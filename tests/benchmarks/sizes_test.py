"""Batch sizes as flags name them."""

import pytest

from benchmarks.sizes import sizes_of
from tfrecords.errors import ConfigError


def test_each_size_counts_once():
  assert sizes_of(["32", "1", "32"]) == (32, 1)


@pytest.mark.parametrize("texts", [[], ["0"], ["1", "-3"], ["a"], ["1.5"], [""]])
def test_what_is_no_size_is_an_error(texts):
  with pytest.raises(ConfigError, match="--batch_sizes: found .*allowed: numbers from 1"):
    sizes_of(texts, "--batch_sizes")
