"""Tests of `benchmarks.reading`: that everything is measured, not how fast it is."""

import json

from benchmarks.reading import PACKED, Bounds, ReadingBenchmark
from heavy_ranker.config import HeavyRankerConfig
from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import small_content, write_config
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

BAZEL_SIZE = "medium"


def test_every_way_of_reading_is_measured(tmp_path):
  config = validate(HeavyRankerConfig, small_content(tmp_path), "test")
  (tmp_path / "benchmark").mkdir()
  bounds = Bounds(examples=64, num_shards=2, kind="random", rounds=1, seconds=0.01)
  found = ReadingBenchmark(config, str(tmp_path / "benchmark"), bounds).run()
  assert json.loads(json.dumps(found)) == found
  ways = {f"{name}_{mode}" for name in ("gzip", "raw", *PACKED) for mode in ("train", "evaluate")}
  straight = {f"straight_{name}" for name in ("gzip", "raw")}
  straight |= {f"{name}_files_side_by_side" for name in straight}
  assert set(found["examples_per_second"]) == ways | straight
  assert min(found["examples_per_second"].values()) > 0
  assert min(found["floor"].values()) > 0
  assert found["ratios"]["packed_bytes_to_gzip"]["packed_bfloat16"] == (
    found["bytes_per_example"]["packed_bfloat16"] / found["bytes_per_example"]["gzip"]
  )


def test_a_folder_that_is_not_there_is_said(tmp_path):
  flags = [f"--config_path={write_config(tmp_path)}", "--folder=nowhere"]
  done = run("benchmarks.input", *flags, cwd=tmp_path)
  assert done.returncode == ConfigError.exit_code
  assert "--folder: found 'nowhere'" in done.stderr
