"""docs/packed_records.md: its program reads what packing writes."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tfrecords.packed.packed_files import packed_config, read, write_packed, write_records
from tfrecords import paths
from tfrecords.packed import column_codes

BAZEL_DATA = ["//:docs/packed_records.md"]


@pytest.mark.parametrize("feature_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_the_program_reads_a_shard(tmp_path, compression, feature_dtype):
  write_records(tmp_path, [5])
  options = {
    "compression": compression,
    "feature_dtype": feature_dtype,
    "examples_per_record": 8,
  }
  write_packed(tmp_path, options=options)
  program = _program()
  assert "/data/packed" in program
  found: dict = {}
  exec(program.replace("/data/packed", str(tmp_path / "packed")), found)
  (block,) = found["blocks"]
  ((features, labels, _),) = read(packed_config(tmp_path, global_batch_size=8), "evaluate")
  for name, expected in features.items():
    np.testing.assert_array_equal(block[f"feature/{name}"], expected)
  np.testing.assert_array_equal(block["labels"], np.stack(list(labels.values()), axis=1))
  assert block["position"][:, 0].tolist() == [0, 1, 2, 3, 4]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 30), st.sampled_from([0.0, 1.0]))
def test_the_program_reads_columns_of_all_codes(seed, rows, price):
  random = np.random.default_rng(seed)
  counts = np.rint(random.standard_normal([rows, 12]) * 10.0 ** np.arange(12)[::-1] / 1e3)
  others = random.integers(0, 1 << 32, [rows, 3], np.uint32).view(np.float32)
  slow = np.repeat(random.standard_normal([rows // 5 + 1, 4]), 5, axis=0)[:rows]
  chosen = random.choice([0.1234567, 7.654321], [rows, 2])
  values = np.concatenate([counts / 64, slow, chosen], axis=1).astype(np.float32)
  values = np.concatenate([values, others], axis=1)
  found: dict = {}
  exec(_program().split("records = ")[0].replace("ARRAYS = json", "ARRAYS = lambda: json"), found)
  strings = column_codes.encode(values, price)
  columns = found["read_columns"](strings, np.dtype(np.float32), values.shape[1], rows)
  np.testing.assert_array_equal(columns.view(np.uint32), values.T.copy().view(np.uint32))


def _program():
  text = (Path(paths.package_root()) / "docs" / "packed_records.md").read_text()
  (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
  return program
