"""How fast the same features come into the same batches, from records and from packed ones."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

import tensorflow as tf

from benchmarks import floor
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import input_names, schema_widths
from tfrecords import schema
from tfrecords.config.data import DataConfig
from tfrecords.generator import Kind, generate
from tfrecords.input_pipeline import InputPipeline
from tfrecords.packed.packer import Options, pack

COMPRESSIONS = ("gzip", "raw")
PACKED = {
  "packed_float32": Options(),
  "packed_float32_small": Options(compression="small"),
  "packed_float32_none": Options(compression="none"),
  "packed_bfloat16": Options(feature_dtype="bfloat16"),
  "packed_bfloat16_small": Options(feature_dtype="bfloat16", compression="small"),
  "packed_bfloat16_none": Options(feature_dtype="bfloat16", compression="none"),
}


@dataclass(frozen=True)
class Bounds:
  """How much is measured.

  Attributes:
    examples: how many are written; datasets start over after them.
    num_shards: files.
    kind: of the records, "random" or "planted".
    rounds: how often each way of reading has its turn.
    seconds: how long a turn takes.
  """

  examples: int
  num_shards: int
  kind: Kind
  rounds: int
  seconds: float


class ReadingBenchmark:
  """Reads the records of `train_data` in all ways, in turn.

  Args:
    config: the whole configuration; where its records lie does not matter.
    folder: an empty one, to write records to.
    bounds: how much to measure.
  """

  def __init__(self, config: HeavyRankerConfig, folder: str, bounds: Bounds):
    self._data, self._folder, self._bounds = config.train_data, folder, bounds
    self._features = list(input_names(config, schema_widths(config)))
    self._tasks = list(config.model.tasks)
    self._sections: dict[str, DataConfig] = {}

  def run(self) -> dict[str, Any]:
    """Writes the records, measures, returns what was found as plain data."""
    self._write()
    ways = {**self._straight(), **self._pipelines()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(self._bounds.rounds):
      for name, make in ways.items():
        rate, cost = measure(make(), self._bounds.seconds)
        rates[name].append(rate)
        costs[name].append(cost)
    return {
      "examples": self._bounds.examples,
      "kind": self._bounds.kind,
      "batch_size": self._data.global_batch_size,
      "features": self._features,
      "labels": len(self._tasks),
      "cores": os.cpu_count(),
      "floor": self._floor(),
      "bytes_per_example": self._bytes(),
      "examples_per_second": {name: statistics.median(each) for name, each in rates.items()},
      "cpu_microseconds_per_example": {
        name: statistics.median(each) for name, each in costs.items()
      },
      "ratios": _ratios(rates, self._bytes()),
    }

  def _write(self) -> None:
    bounds = self._bounds
    for name, compression in (("gzip", "gzip"), ("raw", "none")):
      pattern = self._pattern(name)
      generate(
        self._data,
        bounds.examples,
        bounds.num_shards,
        bounds.kind,
        output=pattern,
        compression=compression,
      )
      self._sections[name] = self._data.model_copy(update={"inputs": pattern})
    for name, options in PACKED.items():
      chosen = Options(**{**vars(options), "features": self._features})
      packed = pack(self._sections["gzip"], os.path.join(self._folder, name), chosen)
      changes = {"inputs": os.path.join(packed.folder, "*.tfrecord"), "packed": True}
      self._sections[name] = self._data.model_copy(update=changes)

  def _pattern(self, name: str) -> str:
    return os.path.join(self._folder, name, "*.gz" if name == "gzip" else "*.tfrecord")

  def _files(self, name: str) -> list[str]:
    return sorted(tf.io.gfile.glob(self._sections[name].inputs))

  def _bytes(self) -> dict[str, float]:
    return {
      name: sum(os.path.getsize(path) for path in self._files(name)) / self._bounds.examples
      for name in self._sections
    }

  def _floor(self) -> dict[str, float]:
    return {
      "gzip_mb_per_second": floor.gzip_mb_per_second(self._files("gzip")[0]),
      "raw_mb_per_second": floor.raw_mb_per_second(self._files("raw")[0]),
    }

  def _straight(self) -> dict[str, Callable[[], tf.data.Dataset]]:
    """What one writes without this project: no order, no positions, labels as they are."""
    known = schema.features_of(self._data)
    specification = {
      known[name].record_name: tf.io.FixedLenFeature([known[name].length], known[name].tensor_dtype)
      for name in (*self._features, *self._tasks)
    }

    def make(name: str, files_at_once: int) -> tf.data.Dataset:
      records = tf.data.TFRecordDataset(
        self._files(name), "GZIP" if name == "gzip" else "", num_parallel_reads=files_at_once
      )
      batches = records.repeat().batch(self._data.global_batch_size)
      return batches.map(
        lambda serialized: tf.io.parse_example(serialized, specification), tf.data.AUTOTUNE
      ).prefetch(tf.data.AUTOTUNE)

    ways = {}
    for name in COMPRESSIONS:
      for suffix, files_at_once in (("", None), ("_files_side_by_side", os.cpu_count())):
        ways[f"straight_{name}{suffix}"] = lambda n=name, f=files_at_once: make(n, f)
    return ways

  def _pipelines(self) -> dict[str, Callable[[], tf.data.Dataset]]:
    def make(name: str, mode: str) -> tf.data.Dataset:
      pipeline = InputPipeline(self._sections[name], mode, self._features, self._tasks)
      return pipeline.dataset if mode == "train" else pipeline.dataset.repeat()

    return {
      f"{name}_{mode}": lambda n=name, m=mode: make(n, m)
      for name in self._sections
      for mode in ("train", "evaluate")
    }


def measure(dataset: tf.data.Dataset, seconds: float) -> tuple[float, float]:
  """Reads batches, after a first one, for some time.

  Args:
    dataset: never ends; its elements begin with the features or are a dict of them.
    seconds: how long.

  Returns:
    Examples a second, and microseconds of all cores an example.
  """
  iterator = iter(dataset)
  _count(next(iterator))
  examples, started = 0, time.perf_counter()
  with _cores_busy() as busy:
    while not examples or time.perf_counter() - started < seconds:
      examples += _count(next(iterator))
    elapsed = time.perf_counter() - started
  return examples / elapsed, 1e6 * busy[0] / examples


@contextmanager
def _cores_busy() -> Iterator[list[float]]:
  """Yields a list that holds, at the end, the seconds all threads worked."""
  started, found = time.process_time(), [0.0]
  yield found
  found[0] = time.process_time() - started


def _count(element: Any) -> int:
  return int(tf.nest.flatten(element)[0].shape[0])


def _ratios(rates: Mapping[str, Sequence[float]], sizes: Mapping[str, float]) -> dict[str, Any]:
  """Returns the ratios that goals are set for; medians over turns that lie side by side."""

  def ratio(one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(rates[one], rates[other]))

  return {
    "to_straight": {
      f"{name}_{mode}": ratio(f"{name}_{mode}", f"straight_{name}")
      for name in COMPRESSIONS
      for mode in ("train", "evaluate")
    },
    "packed_to_gzip": {
      f"{name}_{mode}": ratio(f"{name}_{mode}", f"gzip_{mode}")
      for name in PACKED
      for mode in ("train", "evaluate")
    },
    "packed_bytes_to_gzip": {name: sizes[name] / sizes["gzip"] for name in PACKED},
    "packed_bytes_to_raw": {name: sizes[name] / sizes["raw"] for name in PACKED},
  }
