"""The machine's own rates: each is one, and counts what it says it counts."""

import gzip

import pytest

from benchmarks import floor

BAZEL_SIZE = "medium"


def test_rates_are_positive(tmp_path):
  assert floor.matmul_gflops(size=64, repeats=2) > 0
  assert floor.memory_bandwidth_gb_per_second(num_bytes=1 << 20, repeats=2) > 0
  assert floor.memory_bandwidth_gb_per_second(num_bytes=1 << 20, threads=3, repeats=1) > 0
  path = str(tmp_path / "zeros.gz")
  with gzip.open(path, "wb") as file:
    file.write(bytes(5_000_000))
  assert floor.raw_mb_per_second(path) > 0
  assert floor.gzip_mb_per_second(path) > 0


def test_decompression_is_counted_in_content(tmp_path, monkeypatch):
  path = str(tmp_path / "zeros.gz")
  with gzip.open(path, "wb") as file:
    file.write(bytes(5_000_000))
  ticks = iter([0.0, 2.0])
  monkeypatch.setattr(floor.time, "perf_counter", lambda: next(ticks))
  assert floor.gzip_mb_per_second(path) == pytest.approx(2.5)


def test_the_first_calls_are_not_counted():
  calls = []
  assert len(floor.call_seconds(lambda: calls.append(0), repeats=5)) == 5
  assert len(calls) > 5
