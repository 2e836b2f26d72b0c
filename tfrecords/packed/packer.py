"""Reads a data section's records once and writes them packed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Optional

import tensorflow as tf

from tfrecords import diagnosis, parsing, paths, preprocessing, shards
from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import BatchPlan
from tfrecords.packed import layout, recipes
from tfrecords.packed import manifest as manifests
from tfrecords.packed.manifest import (
  FEATURE,
  LABELS,
  POSITION,
  PROBABILITY,
  RECTIFIED,
  SOURCE,
  Manifest,
  PackedArray,
  PackedShard,
)
from tfrecords.packed.output import PackedOutput
from tfrecords.reading_progress import ReadingProgress
from tfrecords.record_check import RecordCheck
from tfrecords.record_places import files_and_positions
from tfrecords.record_source import RecordSource
from tfrecords.recorded_probabilities import probability_features
from tfrecords.schema import VARIABLE_LENGTH
from tfrecords.shards import Shard
from tfrecords.skipped_data import SkippedData

FeatureDtype = Literal["float32", "bfloat16"]
Compression = Literal["none", "fast", "small"]
FEATURE_DTYPES = ("float32", "bfloat16")
COMPRESSIONS = ("none", "fast", "small")
# Bytes of the file that it has to save to decompress a byte; see `tfrecords.packed.column_codes`.
PRICES_OF_INFLATING = {"none": 0.0, "fast": 1.0, "small": 0.0}
# No power of two: to transpose a block of so many rows, the processor's cache would be of no use.
EXAMPLES_PER_RECORD = 400

_MOST_PER_RECORD = 4096


@dataclass(frozen=True)
class Options:
  """What a pack is like.

  Attributes:
    num_shards: files to write, at most as many as are read; one a file read when None, which keeps
      the order of training.
    feature_dtype: how float features are stored.
    compression: "none"; "fast": each column of floats gets the code that suits its values, without
      zlib but for integers and where that saves most; "small": the smallest code, zlib or not.
    features: what to pack, names inside the model after preprocessing; all when None.
    probability_prefix: also packs the recorded probabilities of this prefix, one a task.
    examples_per_record: the block size.
  """

  num_shards: Optional[int] = None
  feature_dtype: FeatureDtype = "float32"
  compression: Compression = "fast"
  features: Optional[Sequence[str]] = None
  probability_prefix: Optional[str] = None
  examples_per_record: int = EXAMPLES_PER_RECORD

  def check(self) -> None:
    """Raises ConfigError for values that cannot be used."""
    for flag, value, allowed in (
      ("feature_dtype", self.feature_dtype, FEATURE_DTYPES),
      ("compression", self.compression, COMPRESSIONS),
    ):
      if value not in allowed:
        raise ConfigError(f"--{flag}: found {value!r}, allowed: {', '.join(allowed)}")
    if not 1 <= self.examples_per_record <= _MOST_PER_RECORD:
      raise ConfigError(
        f"--examples_per_record: found {self.examples_per_record}, allowed: 1 to {_MOST_PER_RECORD}"
      )


@dataclass(frozen=True)
class Packed:
  """What `pack` wrote.

  Attributes:
    folder: where.
    manifest: what it holds.
    n_bytes: of the shards.
    n_source_bytes: of the files that were read.
    skipped: what `ignore_data_errors` left out, if anything.
  """

  folder: str
  manifest: Manifest
  n_bytes: int
  n_source_bytes: int
  skipped: Optional[str]


def pack(
  config: DataConfig, output_dir: str, options: Optional[Options] = None, key: str = "train_data"
) -> Packed:
  """Writes the features and labels of a data section's records, preprocessed and dense.

  Shards are written side by side, a thread each, and appear one by one; the manifest, without
  which none can be read, comes last. After an interruption the same call continues with the shards
  that are missing. The same records and arguments give the same bytes.

  Args:
    config: the data section. What it samples or downsamples is packed whole: that is for reading.
    output_dir: a folder that does not exist, or is empty, or holds such a beginning.
    options: what to pack and how.
    key: the section's path in the configuration, for the messages.

  Raises:
    ConfigError: an argument cannot be used, or the section does not fit its schema.
    DataError: the records cannot be used.
    StorageError: the folder holds something else, or cannot be written.
  """
  options = options or Options()
  options.check()
  plan = PackPlan(config, options, key)
  skipped = SkippedData(key) if config.ignore_data_errors else None
  files = shards.shards_of(config, key, skipped)
  shards.require_unpacked(files, key)
  groups = _groups(len(files), options.num_shards)
  sources = shards.names_below_inputs(files, config, key)
  sizes = [tf.io.gfile.stat(file.path).length for file in files]
  beginning = {
    "digest": plan.digest,
    "rows": options.examples_per_record,
    "compression": options.compression,
    "sources": [[*pair] for pair in zip(sources, sizes)],
    "shards": len(groups),
  }
  resolved = paths.resolve(output_dir, "--output_dir")
  names = [f"part-{number:05d}-of-{len(groups):05d}.tfrecord" for number in range(len(groups))]
  with (
    PackedOutput(resolved, beginning) as output,
    ReadingProgress(files, "packing", sizes) as progress,
  ):
    packer = _Packer(plan, files, options, skipped, output, progress)
    _side_by_side(packer, names, groups)
    entries = [output.finished[name] for name in names]
    if not sum(entry.examples for entry in entries):
      raise DataError(f"{key}.{config.inputs_key}: the {len(files)} file(s) hold no record to pack")
    manifest = plan.manifest(options, resolved, sources, entries)
    output.complete(manifest)
  n_bytes = sum(entry.size for entry in entries)
  summary = skipped.summary() if skipped is not None else None
  return Packed(resolved, manifest, n_bytes, sum(sizes), summary)


class PackPlan(BatchPlan):
  """What to make of each record.

  Args:
    config: the data section.
    options: what to pack and how.
    key: the section's path in the configuration, for the messages.

  Attributes:
    arrays: of each block.
    digest: of everything that decides what a block holds, the number of its examples apart.
  """

  def __init__(self, config: DataConfig, options: Options, key: str):
    if config.packed:
      raise ConfigError(
        f"{key}.packed: found true, allowed: the records themselves. Pack those with --set "
        f"{key}.packed=false --set {key}.{config.inputs_key}=..."
      )
    preprocess = config.preprocess and config.preprocess.model_copy(
      update={"downsample_negatives": None}
    )
    whole = config.model_copy(
      update={
        "preprocess": preprocess,
        "sampler": None,
        "cache": False,
        "data_service_dispatcher": None,
      }
    )
    prefix = options.probability_prefix
    recorded = {} if prefix is None else probability_features(prefix, config.tasks)
    super().__init__(whole, "evaluate", options.features, None, key, recorded)
    self.config, self.key = whole, key
    self._is_rectified = any(recipe["rectified"] for recipe in self._label_recipes.values())
    self.arrays = [*self._feature_arrays(options), *self._other_arrays(options)]
    content = [
      [array.model_dump() for array in self.arrays],
      list(self._tasks),
      self._label_recipes,
    ]
    self.digest = recipes.digest(content)

  def records(self, files: Sequence[Shard], skipped: Optional[SkippedData]) -> RecordSource:
    """Returns the records of some of the files."""
    return RecordSource(
      self.config, files, self._features, self._check(), skipped, self._sampler, self.key
    )

  def explained(self, files: Sequence[Shard]) -> diagnosis.Explained:
    """Returns a context in which reading errors become DataErrors that name file and record."""
    return diagnosis.Explained(files, self._check(), self.key)

  def blocks(self, source: RecordSource, size: int, first_source: int) -> tf.data.Dataset:
    """Returns blocks: arrays by name, each record's length in bytes, and its file's number."""
    parse = parsing.make_parser(self._features, self._labels, self._probabilities)
    bfloat16 = {array.name for array in self.arrays if array.dtype == "bfloat16"}

    def make_block(serialized: tf.Tensor, places: tf.Tensor) -> tuple:
      numbers, positions = files_and_positions(places)
      batch = parse(serialized, diagnosis.record_names(numbers, positions))
      block = {PROBABILITY + name: batch.pop(name) for name in self._probabilities}
      block[LABELS] = tf.concat([batch[task] for task in self._tasks], axis=1)
      batch = self._preprocessor(batch)
      if self._is_rectified:
        block[RECTIFIED] = tf.concat([batch[task] for task in self._tasks], axis=1)
      inputs = preprocessing.model_inputs(batch, self._outputs)
      block.update({FEATURE + name: tensor for name, tensor in inputs.items()})
      block[SOURCE] = (numbers + first_source)[:, tf.newaxis]
      block[POSITION] = positions[:, tf.newaxis]
      for name in bfloat16:
        block[name] = tf.bitcast(tf.cast(block[name], tf.bfloat16), tf.uint16)
      return block, tf.strings.length(serialized), numbers

    blocks = source.in_order().batch(size)
    return blocks.map(make_block, num_parallel_calls=2, deterministic=True).prefetch(2)

  def manifest(
    self, options: Options, folder: str, sources: Sequence[str], entries: Sequence[PackedShard]
  ) -> Manifest:
    """Returns what to write beside the shards."""
    where = getattr(self.config, self.config.inputs_key)
    described = where if isinstance(where, str) else where.model_dump()
    return Manifest(
      format=manifests.FORMAT,
      version=manifests.VERSION,
      rows=options.examples_per_record,
      arrays=self.arrays,
      labels=list(self._tasks),
      label_recipes=self._label_recipes,
      digest=self.digest,
      section=f"{self.key}: {described}",
      sources=list(sources),
      examples=sum(entry.examples for entry in entries),
      shards=list(entries),
    )

  def _check(self) -> RecordCheck:
    # Labels are packed as they are, and checked when they are read.
    return RecordCheck(self._features, (), "zero", self.key)

  def _feature_arrays(self, options: Options) -> Iterator[PackedArray]:
    for name, feature in self._outputs.items():
      if feature.length == VARIABLE_LENGTH or feature.tensor_dtype is tf.string:
        raise ConfigError(
          f"{self.key}.seg_dense_schema: {name!r} is {feature.dtype} of length {feature.length}, "
          "allowed for packing: numbers of a fixed length. Say what to pack without it with "
          "--features=NAME,NAME"
        )
      recipe = self._recipes[name]
      width = 1 if recipe["extracted_column"] is not None else self._preprocessor.width(feature)
      is_id = feature.tensor_dtype is tf.int64 and name != "binary"
      dtype = "int64" if is_id else options.feature_dtype
      yield _array(FEATURE + name, width, dtype, options.compression, recipe)

  def _other_arrays(self, options: Options) -> Iterator[PackedArray]:
    for name in self._probabilities:
      yield _array(PROBABILITY + name, 1, "float32", options.compression)
    names = [LABELS, RECTIFIED] if self._is_rectified else [LABELS]
    for name in names:
      yield _array(name, len(self._tasks), "int64", options.compression)
    for name in (SOURCE, POSITION):
      yield _array(name, 1, "int64", options.compression)


class _Packer:
  """Packs one shard; called side by side in threads."""

  def __init__(
    self,
    plan: PackPlan,
    files: Sequence[Shard],
    options: Options,
    skipped: Optional[SkippedData],
    output: PackedOutput,
    progress: ReadingProgress,
  ):
    self._plan, self._files, self._options = plan, files, options
    self._skipped, self._output, self._progress = skipped, output, progress
    self._arrays = [array.array for array in plan.arrays]
    self._price = PRICES_OF_INFLATING[options.compression]

  def __call__(self, name: str, group: range) -> None:
    if name in self._output.finished:
      self._progress.finish(group)
      return
    files = self._files[group.start : group.stop]
    source = self._plan.records(files, self._skipped)
    blocks = self._plan.blocks(source, self._options.examples_per_record, group.start)
    with self._output.shard(name) as shard, self._plan.explained(files):
      for block, lengths, numbers in blocks.as_numpy_iterator():
        shard.write(layout.encode(block, self._arrays, self._price), len(numbers))
        self._progress.advance(lengths, numbers + group.start, group.start)
    self._progress.finish(group)


def _side_by_side(packer: _Packer, names: Sequence[str], groups: Sequence[range]) -> None:
  threads = ThreadPoolExecutor(os.cpu_count() or 1)
  futures = [threads.submit(packer, *each) for each in zip(names, groups)]
  try:
    for future in futures:
      future.result()
  except BaseException:
    packer._output.stop()  # noqa: SLF001 - of the same module.
    raise
  finally:
    threads.shutdown(wait=True, cancel_futures=True)


def _groups(num_files: int, num_shards: Optional[int]) -> list[range]:
  """Returns which of the files go into each shard, one after the other."""
  count = num_files if num_shards is None else num_shards
  if not 1 <= count <= num_files:
    raise ConfigError(
      f"--num_shards: found {count}, allowed: 1 to {num_files}, the number of files to read, whose "
      "examples stay together"
    )
  ends = [(shard + 1) * num_files // count for shard in range(count)]
  return [range(first, end) for first, end in zip([0, *ends], ends)]


def _array(
  name: str, width: int, dtype: str, compression: str, recipe: Optional[Mapping] = None
) -> PackedArray:
  coded = "planes" if dtype == "int64" else "columns"
  return PackedArray(
    name=name,
    width=width,
    dtype=dtype,
    layout="rows" if compression == "none" else coded,
    recipe=dict(recipe or {}),
  )
