"""`sampler`: an offline experiment reads only some records, always the same ones.

Whether a record is kept is decided by a hash of what it is - the seed, its file's name below the
folder that holds all files, its place in the file - and so neither by the order of reading nor by
where a run was interrupted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

import tensorflow as tf

from tfrecords import diagnosis, parsing
from tfrecords.config.sampler import SamplerConfig
from tfrecords.labels import require_tasks
from tfrecords.record_places import files_and_positions
from tfrecords.schema import Feature

_BUCKETS = 1 << 53
# Any two numbers do; others would keep other records.
_HASH_KEY = (0x7466, 0x7265)
_DECIDED_TOGETHER = 256


class Sampler:
  """Leaves records of a file out.

  Args:
    config: the section `sampler`; None keeps every record.
    key: the section's full path, for the messages.

  Attributes:
    labels: a record with one of these is kept whatever the rate.
  """

  def __init__(self, config: Optional[SamplerConfig], key: str):
    self._config, self._key = config, key
    engagements = config.kwargs.engagements_list if config is not None else None
    self.labels = tuple(dict.fromkeys(engagements or ()))

  @property
  def is_active(self) -> bool:
    """Whether any record may be left out."""
    return self._config is not None

  def check(self, tasks: Iterable[str]) -> None:
    """Checks that the engagements are among the data section's tasks.

    Raises:
      ConfigError: one is not.
    """
    require_tasks(self.labels, tasks, f"{self._key}.kwargs.engagements_list")

  def __call__(
    self, records: tf.data.Dataset, features: Mapping[str, Feature], file_names: Sequence[str]
  ) -> tf.data.Dataset:
    """Leaves records out, and the others in their order.

    Args:
      records: a file's (serialized Example, place), see `tfrecords.record_places`.
      features: the data section's, by name inside the model; the labels among them.
      file_names: of each file, by number, what the decision is made on.
    """
    if self._config is None:
      return records
    labels = {name: features[name] for name in self.labels}
    parse = parsing.make_parser(labels, frozenset(labels))

    def choose(serialized: tf.Tensor, places: tf.Tensor) -> tuple:
      files, positions = files_and_positions(places)
      names = tf.gather(tf.constant(list(file_names)), files)
      found = parse(serialized, diagnosis.record_names(files, positions)) if self.labels else {}
      kept = self.kept(names, positions, found)
      return tuple(tf.boolean_mask(column, kept) for column in (serialized, places))

    return records.batch(_DECIDED_TOGETHER).map(choose).unbatch()

  def kept(
    self, file_names: tf.Tensor, positions: tf.Tensor, labels: Mapping[str, tf.Tensor]
  ) -> tf.Tensor:
    """Tells which records to keep.

    Args:
      file_names: see `is_drawn`.
      positions: see `is_drawn`.
      labels: int64 [n, 1] by task, those of `self.labels` among them.

    Returns:
      bool [n].
    """
    kept = self.is_drawn(file_names, positions)
    if not self.labels:
      return kept
    positive = tf.concat([labels[name] == 1 for name in self.labels], axis=1)
    return tf.logical_or(kept, tf.reduce_any(positive, axis=1))

  def is_drawn(self, file_names: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Tells which records belong to the share.

    Args:
      file_names: strings [n].
      positions: int64 [n], the records' places in their files, from 0.

    Returns:
      bool [n], true for a share of `rate`.
    """
    seed = str(self._config.kwargs.seed)
    identity = tf.strings.join([seed, tf.strings.as_string(positions), file_names], separator="/")
    bucket = tf.strings.to_hash_bucket_strong(identity, _BUCKETS, _HASH_KEY)
    return bucket < round(self._config.kwargs.rate * _BUCKETS)
