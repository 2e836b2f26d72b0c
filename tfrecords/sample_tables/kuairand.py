"""Made-up rows with the columns of KuaiRand, as configs/mappings/kuairand.yaml reads them."""

import numpy as np
import pyarrow as pa

from tfrecords import random_streams
from tfrecords.ingestion.mapping import Mapping

_DAYS = tuple(range(20220425, 20220431)) + (20220501, 20220502)
_POSITIVE = {"is_click": 0.45, "long_view": 0.3, "play_50": 0.3, "dwell_15s": 0.3}
_RARE = 0.05


def kuairand_table(mapping: Mapping, n_rows: int, seed: int) -> pa.Table:
  """Returns impressions of the days of training, choosing and validation, in order of time.

  Args:
    mapping: that of KuaiRand.
    n_rows: how many.
    seed: the same seed gives the same rows.
  """
  random = random_streams.stream(seed, "kuairand")
  columns = {name: random.integers(0, 300, n_rows) for name in ("user_id", "author_id", "video_id")}
  columns["date"] = np.sort(np.array(_DAYS)[random.integers(0, len(_DAYS), n_rows)])
  columns["time_ms"] = 1_650_800_000_000 + np.arange(n_rows, dtype=np.int64) * 1000
  interest = random.normal(size=n_rows)
  for label in (entry.expression for entry in mapping.labels.values()):
    chance = np.clip(_POSITIVE.get(label, _RARE) * np.exp(interest), 0, 1)
    columns[label] = (random.random(n_rows) < chance).astype(np.int8)
  for name in mapping.continuous[0].names:
    values = random.lognormal(2, 2, n_rows) * np.exp(0.3 * interest)
    columns[name] = np.where(random.random(n_rows) < 0.05, np.nan, values).astype(np.float32)
  for name in mapping.binary[0].names:
    columns[name] = (random.random(n_rows) < 0.3).astype(np.int8)
  for name in mapping.discrete[0].names:
    columns[name] = random.integers(0, 20, n_rows)
  return pa.table(columns)
