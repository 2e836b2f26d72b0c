"""Sharded TFRecords -> batches: glob, read, batch, parse, preprocess, prefetch.

Records are batched before they are parsed, because parsing a batch is vectorized; only the
features in use are parsed. Every record carries its file and position along, so that an error
names it. All shuffles are seeded and every parallel stage keeps its order: the same files and
seed give the same batches.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, Literal, Optional, Union

import tensorflow as tf

from tfrecords import (
  data_service_client,
  diagnosis,
  labels,
  parsing,
  preprocessing,
  recorded_probabilities,
  schema,
  shards,
)
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import did_you_mean
from tfrecords.downsampled_negatives import NegativeDownsampler
from tfrecords.each_record_once import EachRecordOnce
from tfrecords.errors import ConfigError, DataError
from tfrecords.packed import recipes
from tfrecords.packed.diagnosis import PackedExplained
from tfrecords.packed.files import PackedFiles
from tfrecords.packed.selection import Selection
from tfrecords.packed.source import PackedSource, in_one_thread
from tfrecords.record_check import RecordCheck
from tfrecords.record_places import files_and_positions
from tfrecords.record_source import RecordSource
from tfrecords.sampler import Sampler
from tfrecords.schema import Feature
from tfrecords.service_requests import ServiceRequests
from tfrecords.service_watch import ServiceWatch
from tfrecords.skipped_data import SkippedData
from tfrecords.worker_share import WHOLE, WorkerShare

Mode = Literal["train", "evaluate", "predict"]
_MODES = ("train", "evaluate", "predict")
# Of the position that a checkpoint holds of training's iterator. It needs another name whenever
# stages, their elements or their order change: TensorFlow crashes on a position of other stages.
POSITION_FORMAT = "features, labels, weights, places; records with one place, some at a time"


class BatchPlan:
  """What to parse for the batches of one data section, and what to make of it.

  It comes from the configuration and the schema alone: no record file is looked at, so that making
  a plan finds out cheaply whether the section can be used at all.

  Args:
    config, mode, features, tasks, key, probabilities: see InputPipeline.

  Raises:
    ConfigError: the section cannot be used.
    DataError: neither can the schema, or a mask file.
  """

  def __init__(
    self,
    config: DataConfig,
    mode: Mode,
    features: Optional[Iterable[str]] = None,
    tasks: Optional[Iterable[str]] = None,
    key: str = "train_data",
    probabilities: Optional[Mapping[str, Feature]] = None,
  ):
    if mode not in _MODES:
      raise ValueError(f"mode: found {mode!r}, allowed: {', '.join(_MODES)}")
    self._config, self._mode, self._key = config, mode, key
    self._is_distributed = config.data_service_dispatcher is not None and mode != "predict"
    known = schema.features_of(config, key)
    self._tasks = _choose(tasks, config.tasks, f"{key}.tasks") if mode != "predict" else ()
    self._preprocessor = preprocessing.Preprocessor(config.preprocess, f"{key}.preprocess")
    section = config.preprocess.downsample_negatives if config.preprocess is not None else None
    self._downsampler = NegativeDownsampler(
      section if mode == "train" else None, f"{key}.preprocess.downsample_negatives"
    )
    self._downsampler.check(config.tasks)
    self._sampler = Sampler(config.sampler if mode != "predict" else None, f"{key}.sampler")
    self._sampler.check(config.tasks)
    data_service_client.check(config, key)
    _check_packed(config, key)
    read = (*self._tasks, *self._downsampler.labels, *self._sampler.labels)
    self._labels = tuple(dict.fromkeys(read))
    features = features if features is None else tuple(features)
    outputs = self._preprocessor.outputs(known, config.tasks, features)
    chosen = _choose(features, outputs, f"{key}.seg_dense_schema")
    self._outputs = {name: outputs[name] for name in chosen}
    self._recipes = {
      name: recipes.feature_recipe(name, known, self._preprocessor) for name in self._outputs
    }
    self._label_recipes = {
      task: recipes.label_recipe(task if task in self._tasks else "", known, self._preprocessor)
      for task in self._labels
    }
    parsed = self._preprocessor.sources(chosen, self._tasks)
    for name in parsed:
      self._preprocessor.width(known[name])
    self._features = {name: known[name] for name in (*parsed, *self._labels)}
    self._probabilities = dict(probabilities or {})
    self._check_probabilities()
    self._features.update(self._probabilities)

  def _check_probabilities(self) -> None:
    taken = {feature.record_name for feature in self._features.values()}.union(self._features)
    for name in self._probabilities:
      if name in taken:
        raise ConfigError(
          f"{self._key}: {name!r} is read as a recorded probability and as a label or an input of "
          "the model, allowed: one of the two"
        )


class InputPipeline(BatchPlan):
  """The batches of one data section.

  Args:
    config: `train_data` or a partition of `validation_data`.
    mode: "train" shuffles, repeats and drops the remainder, every record once an epoch;
      "evaluate" reads every record once, file after file in the order of their names, the
      remainder kept; "predict" is "evaluate" without labels.
    features: names inside the model of the features to yield, extracted ones among them; all of
      the section's when None. Only these and what they are made of is parsed.
    tasks: the labels to parse; all of the section's when None.
    key: the section's path in the configuration, for the messages.
    probabilities: further features to yield, see `tfrecords.recorded_probabilities`, by name; no
      schema has to list them.
    with_places: yields where each record lies, too.
    share: what this worker of several reads in training; batches then hold its part of the global
      batch, [batch / workers] each.

  Attributes:
    dataset: a tf.data.Dataset of (features, labels, weights). Features: dict of float32
      [batch, width] (integer features other than `binary` are int64); labels and weights: dicts
      of float32 [batch] by task. With `with_places` a fourth part: dict of int64 [batch], `file`
      (the place among `files`) and `position` (in the file), both from 0.
    shards: the files it reads.
    files: paths of the files the records are from: those of `shards`, or if these are packed those
      that were packed.
    all_shards: those of all workers together.
    skipped: what `ignore_data_errors` left out so far; None without that option.

  Raises:
    ConfigError, DataError: the section or its files cannot be used.
  """

  def __init__(
    self,
    config: DataConfig,
    mode: Mode,
    features: Optional[Iterable[str]] = None,
    tasks: Optional[Iterable[str]] = None,
    key: str = "train_data",
    probabilities: Optional[Mapping[str, Feature]] = None,
    with_places: bool = False,
    share: WorkerShare = WHOLE,
  ):
    super().__init__(config, mode, features, tasks, key, probabilities)
    self._with_places = with_places
    self._share, self._rows = share, share.of_batch(config.global_batch_size, key)
    self._records_read = self._rows * self._downsampler.multiplier
    self._check = RecordCheck(
      self._features, self._tasks, config.missing_labels, key, self._probabilities
    )
    self.skipped = SkippedData(key) if config.ignore_data_errors else None
    self._requests = ServiceRequests()
    self.all_shards = shards.shards_of(config, key, self.skipped)
    self._open_records()
    if mode == "train":
      self._check_batch_size()
    self.dataset = self._build()

  def _open_records(self) -> None:
    config, key = self._config, self._key
    # A service deals the files out itself, to whoever asks.
    dealt = WHOLE if self._is_distributed else self._share
    self.shards, of_records = dealt.of_files(self.all_shards), dealt.of_records(self.all_shards)
    if not config.packed:
      shards.require_unpacked(self.shards, key)
      self.files = [shard.path for shard in self.shards]
      self._records = RecordSource(
        config,
        self.shards,
        self._features,
        self._check,
        self.skipped,
        self._sampler,
        key,
        of_records,
      )
      return
    self._packed = PackedFiles(self.shards, key)
    self.files = self._packed.sources
    selection = Selection(
      self._packed.manifest, self._recipes, self._label_recipes, self._probabilities, key
    )
    self._records = PackedSource(
      config, self.shards, self._packed, selection, self._sampler, of_records
    )

  @contextlib.contextmanager
  def explained(self) -> Iterator[None]:
    """A context in which reading errors become DataErrors that name file and record.

    With a data service it also ends the process, with exit code 7, once the dispatcher has been
    away or no batch has come for too long; see `tfrecords.service_watch`.
    """
    with self._watching_service(), self._explained():
      yield

  def _explained(self) -> Union[diagnosis.Explained, PackedExplained]:
    if self._config.packed:
      return PackedExplained(self.shards, self._packed, self._key)
    return diagnosis.Explained(self.shards, self._check, self._key, lambda: self._records.failure)

  def _watching_service(self) -> contextlib.AbstractContextManager:
    if not self._is_distributed:
      return contextlib.nullcontext()
    where = f"{self._key}.data_service_dispatcher"
    return ServiceWatch(
      self._config.data_service_dispatcher, where, self._requests, is_training=self._mode == "train"
    )

  @property
  def position_can_be_saved(self) -> bool:
    """Whether an iterator of the dataset can be part of a tf.train.Checkpoint."""
    return not self._is_distributed

  def _check_batch_size(self) -> None:
    multiplier = self._downsampler.multiplier
    with self.explained():
      found = self._records.count(self._records_read)
    if found == 0 and self.skipped is not None:
      raise self.skipped.nothing_left()
    if found < self._records_read:
      share = f"a {multiplier}th (batch_multiplier) of " if multiplier > 1 else ""
      which = "those the sampler keeps of the" if self._config.sampler is not None else "the"
      raise DataError(
        f"{self._key}.global_batch_size: found {self._config.global_batch_size}, allowed: at most "
        f"{found // multiplier * self._share.count}, which is {share}all {which} records in the "
        f"{len(self.shards)} file(s) of {self._key}.{self._config.inputs_key}{self._of_worker()}"
      )

  def _of_worker(self) -> str:
    count = self._share.count
    return f" that this worker reads, times {count} workers" if count > 1 else ""

  def _build(self) -> tf.data.Dataset:
    parse, parsers = self._make_parse(), self._config.map_num_parallel_calls or tf.data.AUTOTUNE
    if self._mode == "train":
      parsed = self._shuffled().map(parse, num_parallel_calls=parsers, deterministic=True)
      parsed = self._distributed(parsed) if self._is_distributed else parsed
    elif self._is_distributed:
      once = EachRecordOnce(self._records, self._records_read, parse, parsers, self._key)
      parsed = once.completed(self._distributed(once.marked()))
    else:
      parsed = self._records.mapped_in_order(self._records_read, parse, parsers)
    batches = parsed.prefetch(tf.data.AUTOTUNE)
    batches = in_one_thread(batches) if self._config.packed else batches
    # Who only has the dataset has its reader, too.
    batches.records = self._records
    return batches

  def _shuffled(self) -> tf.data.Dataset:
    records = self._records.shuffled()
    # Only here: repeated files would be interleaved with themselves, so that a batch holds the
    # same record several times and an epoch has no end.
    records = records.repeat() if self._config.repeat_files else records
    return records.batch(self._records_read, drop_remainder=True)

  def _distributed(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    job = self._share.job or None
    return self._requests.of(data_service_client.distribute(dataset, self._config, self._key, job))

  def _make_parse(self) -> Callable:
    """Returns a function of a batch of records, or of packed examples, to a batch."""
    config, tasks, batch_size = self._config, self._tasks, self._rows
    read = self._records.parse if config.packed else self._make_read()
    # Evaluation always weights by its own rates; training corrects once, here or in the model.
    weighted = self._mode != "train" or config.sampling_correction == "weights"

    def parse_batch(*records: tf.Tensor) -> tuple:
      batch, rectified, positions, files = read(*records)
      names = diagnosis.record_names(files, positions)
      factor = None
      if self._downsampler.labels:
        rows, factor = self._downsampler.rows(batch, batch_size)
        batch = {name: tf.gather(tensor, rows) for name, tensor in batch.items()}
        rectified = {name: tf.gather(tensor, rows) for name, tensor in rectified.items()}
        positions, files = tf.gather(positions, rows), tf.gather(files, rows)
        names = tf.gather(names, rows)
      recorded = {name: batch.pop(name) for name in self._probabilities}
      batch = {**batch, **rectified} if config.packed else self._preprocessor(batch)
      features, label, weight = labels.split_labels(batch, config, tasks, names, weighted)
      if factor is not None:
        weight = {task: values * factor for task, values in weight.items()}
      inputs = preprocessing.model_inputs(features, self._outputs)
      inputs.update(recorded_probabilities.checked(recorded, names))
      places = ({"file": files, "position": positions},) if self._with_places else ()
      return (inputs, label, weight, *places)

    return parse_batch

  def _make_read(self) -> Callable:
    parse = parsing.make_parser(self._features, self._labels, self._probabilities)

    def read(serialized: tf.Tensor, places: tf.Tensor) -> tuple:
      files, positions = files_and_positions(places)
      names = diagnosis.record_names(files, positions)
      return parse(serialized, names), {}, positions, files

    return read


def make_dataset(config: DataConfig, mode: Mode) -> tf.data.Dataset:
  """Returns the batches of a data section: (features, labels, weights), see InputPipeline.

  Args:
    config: `config.train_data` or a partition of `config.validation_data`.
    mode: "train", "evaluate" or "predict".

  Raises:
    ConfigError, DataError: the section or its files cannot be used.
  """
  return InputPipeline(config, mode).dataset


def _choose(names: Optional[Iterable[str]], known: Iterable[str], where: str) -> tuple[str, ...]:
  if names is None:
    return tuple(known)
  names = tuple(names)
  for name in names:
    if name not in known:
      raise ConfigError(
        f"{where}: {name!r} is needed and missing{did_you_mean(name, known)}; found there: "
        f"{', '.join(known)}"
      )
  return names


def _check_packed(config: DataConfig, key: str) -> None:
  for option in ("cache", "ignore_data_errors") if config.packed else ():
    if getattr(config, option):
      raise ConfigError(
        f"{key}.{option}: found true together with {key}.packed, allowed: one of them: packed "
        f"records are checked and small. Give it up with --set {key}.{option}=false"
      )
