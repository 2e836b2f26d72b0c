"""docs/packed_records.md: its program reads what packing writes."""

import re
from pathlib import Path

import pytest
import tensorflow as tf

from tests.tfrecords.packed.packed_files import read, source_config, write_packed, write_records
from tfrecords import paths

BAZEL_DATA = ["//:docs/packed_records.md"]


@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_the_program_reads_a_shard(tmp_path, compression):
  write_records(tmp_path, [5])
  write_packed(tmp_path, options={"compression": compression})
  text = (Path(paths.package_root()) / "docs" / "packed_records.md").read_text()
  (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
  assert "/data/packed" in program
  found: dict = {}
  exec(program.replace("/data/packed", str(tmp_path / "packed")), found)
  (batch,) = found["examples"].batch(8)
  ((features, labels, _),) = read(source_config(tmp_path, global_batch_size=8), "evaluate")
  for name, expected in features.items():
    tf.debugging.assert_equal(batch[f"feature/{name}"], expected)
  stacked = tf.stack(list(labels.values()), axis=1)
  tf.debugging.assert_equal(tf.cast(batch["labels"], tf.float32), stacked)
  assert batch["position"].numpy()[:, 0].tolist() == [0, 1, 2, 3, 4]
