"""The planted records that architectures are compared on, written once."""

import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from tfrecords import paths
from tfrecords.config.data import DataConfig
from tfrecords.generator import generate

N_TRAIN, N_VALIDATION = 400_000, 200_000
TRAIN_SHARDS, VALIDATION_SHARDS = 16, 8
# As in configs/demo.yaml: whoever has run the demo has the data.
TRAIN_SEED, VALIDATION_SEED = 1, 2


def write_missing(config: HeavyRankerConfig, partition: str) -> None:
  """Writes planted records where a section's `inputs` matches no file, and says so.

  Args:
    config: says where they lie and what they hold.
    partition: the partition of `validation_data` to measure on; it gets the teacher's
      probabilities, too.

  Raises:
    ConfigError, StorageError, DataError: they cannot be written.
  """
  _write(config.train_data, "train_data", N_TRAIN, TRAIN_SHARDS, TRAIN_SEED, False)
  _write(
    config.validation_data[partition],
    f"validation_data.{partition}",
    N_VALIDATION,
    VALIDATION_SHARDS,
    VALIDATION_SEED,
    True,
  )


def _write(
  section: DataConfig,
  key: str,
  n_examples: int,
  num_shards: int,
  seed: int,
  write_probabilities: bool,
) -> None:
  if section.inputs is None:
    return  # Folders of hours or days hold records of their own.
  pattern = paths.resolve(section.inputs, f"{key}.inputs")
  if tf.io.gfile.glob(pattern):
    print(f"data: {pattern} is there", flush=True)
    return
  print(f"data: writing {n_examples:,} planted records to {pattern}", flush=True)
  generate(
    section,
    n_examples=n_examples,
    num_shards=num_shards,
    kind="planted",
    seed=seed,
    write_probabilities=write_probabilities,
    key=key,
  )
