"""Records of `tests.tfrecords.record_files`, packed, and both read the same way."""

import numpy as np
import tensorflow as tf

from tests.tfrecords import record_files
from tfrecords.input_pipeline import InputPipeline
from tfrecords.packed.packer import Options, pack

# Without the features of variable length and of bytes that other tests read.
SCHEMA = {"features": []}


def source_config(folder, schema=None, **changes):
  """Returns a section that reads `folder`/records/*.tfrecord, the numeric features alone."""
  inputs = {"inputs": str(folder / "records" / "*.tfrecord")}
  return record_files.data_config(folder, {**SCHEMA, **(schema or {})}, **{**inputs, **changes})


def packed_config(folder, schema=None, name="packed", **changes):
  """Returns the same section, but for the packed records in `folder`/`name`."""
  inputs = {"inputs": str(folder / name / "*.tfrecord"), "packed": True}
  return source_config(folder, schema, **{**inputs, **changes})


def write_records(folder, sizes=(5, 4, 6)):
  """Writes shards of those sizes; returns their paths."""
  (folder / "records").mkdir(exist_ok=True)
  return record_files.write_shards(folder / "records", sizes)


def write_packed(folder, schema=None, name="packed", options=None, **changes):
  """Packs those records, three examples a record; returns what `pack` does."""
  config = source_config(folder, schema, **changes)
  return pack(config, str(folder / name), Options(**{"examples_per_record": 3, **(options or {})}))


def read(config, mode, batches=12, **arguments):
  """Returns the first batches of a section."""
  pipeline = InputPipeline(config, mode, **arguments)
  with pipeline.explained():
    return list(pipeline.dataset.take(batches))


def assert_same_batches(found, expected):
  """Checks that two lists of batches are equal to the last bit."""
  assert len(found) == len(expected) > 0
  for one, other in zip(found, expected):
    tf.nest.map_structure(_assert_same, one, other)


def _assert_same(one, other):
  assert one.dtype == other.dtype
  np.testing.assert_array_equal(one.numpy(), other.numpy())
