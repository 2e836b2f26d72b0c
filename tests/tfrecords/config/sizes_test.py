"""Sizes no machine has room for are told with their key, instead of ending the process."""

import json

import pytest

from tests.tfrecords import record_files
from tfrecords import schema
from tfrecords.errors import ConfigError, DataError


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"map_num_parallel_calls": 10**6}, "map_num_parallel_calls: found 1000000 .*equal to 1024"),
    ({"interleave_num_parallel_calls": 10**9}, "interleave_num_parallel_calls: found 1000000000"),
    ({"global_batch_size": 10**12}, "global_batch_size: found 1000000000000 .*equal to 1048576"),
    ({"examples_shuffle_buffer_size": 2**62}, "examples_shuffle_buffer_size: .*134217728"),
    (
      {
        "inputs": None,
        "explicit_datetime_inputs": {
          "data_root": "x",
          "end_datetime": "2024/01/01/00",
          "hours": 10**7,
        },
      },
      "explicit_datetime_inputs.hours: found 10000000",
    ),
    (
      {
        "preprocess": {
          "downsample_negatives": {
            "batch_multiplier": 10**9,
            "engagements_list": ["is_liked"],
            "num_engagements": 1,
          }
        }
      },
      "downsample_negatives.batch_multiplier: found 1000000000",
    ),
  ],
)
def test_of_a_data_section(tmp_path, changes, words):
  with pytest.raises(ConfigError, match=words):
    record_files.data_config(tmp_path, **changes)


@pytest.mark.parametrize("length", ["4194305", "9223372036854775808", "1" + "0" * 5000])
def test_of_a_feature(tmp_path, length):
  path = tmp_path / "schema.json"
  text = json.dumps({"schema": [{"feature_name": "a", "dtype": "float_list", "length": 77}]})
  path.write_text(text.replace("77", length))
  with pytest.raises(DataError, match="allowed: at most 4194304|no JSON"):
    schema.load_schema(str(path))
