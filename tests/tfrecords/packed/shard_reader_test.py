"""Tests of `tfrecords.packed.shard_reader`."""

import numpy as np
import pytest

from tests.tfrecords.packed.packed_files import packed_config, read, write_packed, write_records
from tfrecords import shards
from tfrecords.errors import DataError
from tfrecords.packed.shard_reader import ShardReader

BAZEL_SIZE = "medium"


@pytest.mark.parametrize("feature_dtype", ["float32", "bfloat16"])
def test_each_shard_in_batches_across_its_blocks(tmp_path, feature_dtype):
  write_records(tmp_path, (5, 4))
  write_packed(tmp_path, options={"feature_dtype": feature_dtype})
  files = shards.find_shards(str(tmp_path / "packed" / "*.tfrecord"), "--inputs")
  reader = ShardReader(files, "--inputs")
  names = ["continuous", "meta__author_id"]
  found = [list(reader.batches(file, names, 4)) for file in files]
  assert [[len(batch["continuous"]) for batch in batches] for batches in found] == [[4, 1], [4]]
  ((expected, _, _),) = read(packed_config(tmp_path, global_batch_size=16), "evaluate")
  for name in names:
    values = np.concatenate([batch[name] for batches in found for batch in batches])
    assert values.dtype == expected[name].numpy().dtype
    np.testing.assert_array_equal(values, expected[name])
  sizes = [5 * reader.bytes_an_example(files[0]), 4 * reader.bytes_an_example(files[1])]
  paths = sorted((tmp_path / "packed").glob("*.tfrecord"))
  np.testing.assert_allclose(sizes, [path.stat().st_size for path in paths])


def test_a_damaged_shard_is_named(tmp_path):
  write_records(tmp_path, (5,))
  write_packed(tmp_path)
  (path,) = (tmp_path / "packed").glob("*.tfrecord")
  content = bytearray(path.read_bytes())
  content[-20] ^= 1
  path.write_bytes(content)
  files = shards.find_shards(str(path), "--inputs")
  reader = ShardReader(files, "--inputs")
  complaint = pytest.raises(DataError, match="record 1: the file is cut short or damaged")
  with complaint, reader.explained(files[0]):
    list(reader.batches(files[0], ["continuous"], 4))
