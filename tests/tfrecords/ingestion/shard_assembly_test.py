import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfrecords.ingestion.shard_assembly import span, tfrecord_bytes


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(1, 20))
def test_every_row_gets_one_shard_and_shards_differ_by_one_row(blocks, n_shards):
  sizes = np.zeros(n_shards, int)
  begin = 0
  for n_rows in blocks:
    end_before = 0
    for shard in range(n_shards):
      start, end = span(begin, n_rows, shard, n_shards)
      assert start == end_before
      end_before = end
      expected = sum((begin + row) % n_shards == shard for row in range(n_rows))
      assert end - start == expected
      sizes[shard] += expected
    assert end_before == n_rows
    begin += n_rows
  assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_tensorflow_reads_the_files_and_would_write_the_same(tmp_path, compression):
  records = [bytes([number]) * size for number, size in enumerate([0, 1, 1000, 3_000_000, 5, 2])]
  path = tmp_path / "file"
  path.write_bytes(tfrecord_bytes(records, compression))
  kind = "GZIP" if compression == "gzip" else ""
  assert list(tf.data.TFRecordDataset(str(path), kind).as_numpy_iterator()) == records
  if not kind:
    with tf.io.TFRecordWriter(str(tmp_path / "other")) as writer:
      for record in records:
        writer.write(record)
    assert path.read_bytes() == (tmp_path / "other").read_bytes()
