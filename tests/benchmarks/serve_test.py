"""The server's benchmark, on a small model, a fake server and no more than a few requests."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks import load, serving
from benchmarks.server_process import ServerProcess
from benchmarks.untrained_export import write_untrained_export
from heavy_ranker.serving.serving_error import ServingError
from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import small_config
from tfrecords import paths
from tfrecords.errors import ConfigError

BAZEL_SIZE = "large"
_FAKE = (sys.executable, "-m", "tests.heavy_ranker.serving.fake_server")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("serve")
  write_untrained_export(small_config(path), str(path / "saved"))
  return path


def test_calls_are_bounded_in_count_and_time():
  loads = load.alternate({"a": lambda: 3, "b": lambda: 1}, max_calls=7, max_seconds=60)
  assert [(len(found.seconds), found.examples) for found in loads.values()] == [(7, 21), (7, 7)]
  pressed = load.press([lambda: 2] * 3, max_calls=100, max_seconds=60)
  assert (len(pressed.seconds), pressed.examples) == (100, 200)

  def slow():
    time.sleep(0.05)
    return 1

  assert len(load.press([slow] * 2, max_calls=10**6, max_seconds=0.2).seconds) < 20
  assert len(load.alternate({"slow": slow}, 10**6, 0.2)["slow"].seconds) < 20
  assert threading.active_count() < 20


def test_failures_are_counted_apart():
  outcomes = iter([1, ServingError("UNAVAILABLE", "gone"), 1, ServingError("INTERNAL", "oh")])

  def call():
    outcome = next(outcomes)
    if isinstance(outcome, ServingError):
      raise outcome
    return outcome

  found = load.press([call], max_calls=4, max_seconds=60).latency()
  assert (found["count"], found["failed"]) == (2, 2)
  assert found["failures"] == {"UNAVAILABLE: gone": 1, "INTERNAL: oh": 1}
  assert not serving.all_answered({"latency": {"1": {"grpc": found}}})
  assert not serving.all_answered({"swaps": {"problem": "version 2 is not available"}})
  assert load.Load().latency()["p50"] is None


def test_everything_is_measured_and_the_server_ends(folder, tmp_path):
  base_path = tmp_path / "versions"
  write_untrained_export(small_config(folder), str(base_path), version=4)
  bounds = serving.Bounds(
    sizes=(1, 5), requests=6, seconds=60.0, swaps=2, soak=20, long_seconds=60.0
  )
  with ServerProcess(str(base_path), str(tmp_path / "log"), _FAKE) as server:
    process_id = server.process_id
    result = serving.ServingBenchmark(server, str(base_path), bounds).run()
  assert not os.path.exists(f"/proc/{process_id}")
  assert json.loads(json.dumps(result)) == result
  for size in ("1", "5"):
    latency, throughput = result["latency"][size], result["throughput"][size]
    assert list(latency) == list(throughput) == ["bare", "grpc", "rest"]
    for api in ("grpc", "rest"):
      assert (latency[api]["count"], latency[api]["failed"]) == (6, 0)
      ratio = latency[api]["p50"] / latency["bare"]["p50"]
      assert latency[api]["p50_to_bare"] == pytest.approx(ratio, rel=0.01)
      assert throughput[api]["examples_per_second"] > 0
  assert result["first_request"]["candidates"] == 5
  assert result["first_request"]["ratio_to_median"] > 0
  assert (result["soak"]["count"], result["soak"]["failed"]) == (20, 0)
  swaps = result["swaps"]
  assert (swaps["done"], swaps["requests"]["failed"]) == (2, 0)
  assert swaps["requests"]["count"] > 0
  assert len(swaps["memory_mb"]) == 2
  assert os.listdir(base_path) == ["6"]
  assert set(result["memory_mb"]) == {"before", "after_soak", "after_swaps"}
  assert serving.all_answered(result)


def test_a_server_that_does_not_start_says_why(tmp_path):
  program = (sys.executable, "-c", "print('no room'); exit(3)")
  server = ServerProcess(str(tmp_path), str(tmp_path / "log"), program)
  with pytest.raises(ServingError, match="the server has ended with 3:\nno room"), server:
    pass
  with pytest.raises(ConfigError, match="nowhere/server: cannot be started: No such file"):
    ServerProcess(str(tmp_path), str(tmp_path / "log"), ("nowhere/server",)).__enter__()
  sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
  silent = ServerProcess(str(tmp_path), str(tmp_path / "log"), sleeper, start_seconds=0.5)
  with pytest.raises(ServingError, match="version newest: not available after 0.5 s"), silent:
    pass


def test_the_command_with_another_server(folder, tmp_path):
  program = tmp_path / "server"
  program.write_text(f'#!/bin/sh\nexec {" ".join(_FAKE)} "$@"\n')
  program.chmod(0o755)
  flags = [f"--export_dir={folder}/saved", f"--model_server={program}", "--sizes=3", "--api=grpc"]
  done = run("benchmarks.serve", *flags, "--requests=3", "--output_path=r.json", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout) == json.loads((tmp_path / "r.json").read_text())
  assert list(json.loads(done.stdout)["latency"]["3"]) == ["bare", "grpc"]
  assert os.listdir(folder / "saved") == ["1"]


def test_flags_that_cannot_be_used(tmp_path):
  for flags, words in (
    (["--export_dir=x", "--set=a=1"], "none beside --export_dir"),
    (["--export_dir=nowhere"], "holds no export"),
  ):
    done = subprocess.run(
      [sys.executable, "-m", "benchmarks.serve", *flags],
      env={**os.environ, "PYTHONPATH": paths.package_root()},
      cwd=tmp_path,
      capture_output=True,
      text=True,
      check=False,
    )
    assert done.returncode in (2, 4)
    assert words in done.stderr
