"""Sharded TFRecords -> batches: glob, shuffle, interleave, batch, parse, preprocess, prefetch.

Records are batched before they are parsed, because parsing a batch is vectorized; only the
features in use are parsed. Every record carries its file and position along, so that an error
names it. All shuffles are seeded and every parallel stage keeps its order: the same files and
seed give the same batches.
"""

from collections.abc import Iterable
from typing import Literal, Optional

import tensorflow as tf

from tfrecords import diagnosis, labels, parsing, preprocessing, schema, shards
from tfrecords.config.data import DataConfig
from tfrecords.config.strict_model import did_you_mean, require_supported
from tfrecords.downsampled_negatives import NegativeDownsampler
from tfrecords.errors import ConfigError, DataError

Mode = Literal["train", "evaluate", "predict"]
_MODES = ("train", "evaluate", "predict")


class BatchPlan:
  """What to parse for the batches of one data section, and what to make of it.

  It comes from the configuration and the schema alone: no record file is looked at, so that making
  a plan finds out cheaply whether the section can be used at all.

  Args:
    config, mode, features, tasks, key: see InputPipeline.

  Raises:
    ConfigError, NotSupportedError: the section cannot be used.
    DataError: neither can the schema, or a mask file.
  """

  def __init__(
    self,
    config: DataConfig,
    mode: Mode,
    features: Optional[Iterable[str]] = None,
    tasks: Optional[Iterable[str]] = None,
    key: str = "train_data",
  ):
    if mode not in _MODES:
      raise ValueError(f"mode: found {mode!r}, allowed: {', '.join(_MODES)}")
    require_supported(config, key)
    self._config, self._mode, self._key = config, mode, key
    known = schema.features_of(config, key)
    self._tasks = _choose(tasks, config.tasks, f"{key}.tasks") if mode != "predict" else ()
    self._preprocessor = preprocessing.Preprocessor(config.preprocess, f"{key}.preprocess")
    section = config.preprocess.downsample_negatives if config.preprocess is not None else None
    self._downsampler = NegativeDownsampler(
      section if mode == "train" else None, f"{key}.preprocess.downsample_negatives"
    )
    self._downsampler.check(config.tasks)
    self._labels = tuple(dict.fromkeys((*self._tasks, *self._downsampler.labels)))
    self._batch_size = config.global_batch_size * self._downsampler.multiplier
    features = features if features is None else tuple(features)
    outputs = self._preprocessor.outputs(known, config.tasks, features)
    chosen = _choose(features, outputs, f"{key}.seg_dense_schema")
    self._outputs = {name: outputs[name] for name in chosen}
    parsed = self._preprocessor.sources(chosen, self._tasks)
    for name in parsed:
      self._preprocessor.width(known[name])
    self._features = {name: known[name] for name in (*parsed, *self._labels)}


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

  Attributes:
    dataset: a tf.data.Dataset of (features, labels, weights). Features: dict of float32
      [batch, width] (integer features other than `binary` are int64); labels and weights: dicts
      of float32 [batch] by task.
    shards: the files it reads.

  Raises:
    ConfigError, DataError, NotSupportedError: the section or its files cannot be used.
  """

  def __init__(
    self,
    config: DataConfig,
    mode: Mode,
    features: Optional[Iterable[str]] = None,
    tasks: Optional[Iterable[str]] = None,
    key: str = "train_data",
  ):
    super().__init__(config, mode, features, tasks, key)
    self.shards = shards.shards_of(config, key)
    if mode == "train":
      self._check_batch_size()
    self.dataset = self._build()

  def explained(self) -> diagnosis.Explained:
    """Returns a context in which reading errors become DataErrors that name file and record."""
    return diagnosis.Explained(
      self.shards, self._features, self._tasks, self._config.missing_labels, self._key
    )

  def _check_batch_size(self) -> None:
    multiplier = self._downsampler.multiplier
    with self.explained():
      records = _records_in_order(self.shards).take(self._batch_size)
      found = sum(1 for _ in records.as_numpy_iterator())
    if found < self._batch_size:
      share = f"a {multiplier}th (batch_multiplier) of " if multiplier > 1 else ""
      raise DataError(
        f"{self._key}.global_batch_size: found {self._config.global_batch_size}, allowed: at most "
        f"{found // multiplier}, which is {share}all the records in the {len(self.shards)} file(s) "
        f"of {self._key}.{self._config.inputs_key}"
      )

  def _build(self) -> tf.data.Dataset:
    config, training = self._config, self._mode == "train"
    files = tf.data.Dataset.from_tensor_slices(_columns(self.shards)).enumerate()
    if training:
      files = files.shuffle(
        len(self.shards), seed=config.shuffle_seed, reshuffle_each_iteration=True
      )
    side_by_side = config.interleave_num_parallel_calls or config.DEFAULT_INTERLEAVE_FILES
    records = files.interleave(
      _read,
      cycle_length=side_by_side if training else 1,
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )
    if training and config.examples_shuffle_buffer_size > 1:
      records = records.shuffle(
        config.examples_shuffle_buffer_size,
        seed=config.shuffle_seed,
        reshuffle_each_iteration=True,
      )
    if training and config.repeat_files:
      # Only here: repeated files would be interleaved with themselves, so that a batch holds the
      # same record several times and an epoch has no end.
      records = records.repeat()
    batches = records.batch(self._batch_size, drop_remainder=training)
    parsed = batches.map(
      self._make_parse(),
      num_parallel_calls=config.map_num_parallel_calls or tf.data.AUTOTUNE,
      deterministic=True,
    )
    return parsed.prefetch(tf.data.AUTOTUNE)

  def _make_parse(self):  # noqa: ANN202 - a function of the batch, for Dataset.map.
    config, tasks = self._config, self._tasks
    parse = parsing.make_parser(self._features, frozenset(self._labels))
    # Evaluation always weights by its own rates; training corrects once, here or in the model.
    weighted = self._mode != "train" or config.sampling_correction == "weights"

    def parse_batch(serialized: tf.Tensor, positions: tf.Tensor, files: tf.Tensor) -> tuple:
      names = diagnosis.record_names(files, positions)
      batch = parse(serialized, names)
      factor = None
      if self._downsampler.labels:
        rows, factor = self._downsampler.rows(batch, config.global_batch_size)
        batch = {name: tf.gather(tensor, rows) for name, tensor in batch.items()}
        names = tf.gather(names, rows)
      batch = self._preprocessor(batch)
      features, label, weight = labels.split_labels(batch, config, tasks, names, weighted)
      if factor is not None:
        weight = {task: values * factor for task, values in weight.items()}
      return preprocessing.model_inputs(features, self._outputs), label, weight

    return parse_batch


def make_dataset(config: DataConfig, mode: Mode) -> tf.data.Dataset:
  """Returns the batches of a data section: (features, labels, weights), see InputPipeline.

  Args:
    config: `config.train_data` or a partition of `config.validation_data`.
    mode: "train", "evaluate" or "predict".

  Raises:
    ConfigError, DataError, NotSupportedError: the section or its files cannot be used.
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


def _columns(files: list[shards.Shard]) -> tuple[list[str], list[str]]:
  return [shard.path for shard in files], [shard.compression for shard in files]


def _read(number: tf.Tensor, file: tuple[tf.Tensor, tf.Tensor]) -> tf.data.Dataset:
  path, compression = file
  return tf.data.Dataset.zip(
    (
      tf.data.TFRecordDataset(path, compression_type=compression),
      tf.data.Dataset.range(tf.int64.max),
      tf.data.Dataset.from_tensors(number).repeat(),
    )
  )


def _records_in_order(files: list[shards.Shard]) -> tf.data.Dataset:
  return tf.data.Dataset.from_tensor_slices(_columns(files)).flat_map(
    lambda path, compression: tf.data.TFRecordDataset(path, compression_type=compression)
  )
