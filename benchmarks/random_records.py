"""Records to read where it does not matter what they say."""

import os

from heavy_ranker.config import HeavyRankerConfig
from tfrecords.generator import generate


def with_random_records(config: HeavyRankerConfig, folder: str, count: int) -> HeavyRankerConfig:
  """Writes records and returns the configuration that trains on them.

  Args:
    config: the whole configuration.
    folder: where they go, as gzip shards.
    count: how many.
  """
  pattern = os.path.join(folder, "records", "*.gz")
  changes = dict.fromkeys(("explicit_datetime_inputs", "explicit_date_inputs"))
  data = config.train_data.model_copy(update={**changes, "inputs": pattern})
  generate(data, n_examples=count, num_shards=min(4, count), kind="random", seed=0)
  return config.model_copy(update={"train_data": data})
