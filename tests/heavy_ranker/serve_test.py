"""The command: starts, answers, stops; says what is wrong when it cannot."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.heavy_ranker.serving.server.running_server import Client, tiny_inputs
from tests.heavy_ranker.serving.server.tiny_model import write_version
from tfrecords import paths


def _start(folder, *flags):
  environment = {**os.environ, "PYTHONPATH": paths.package_root(), "HOME": str(folder)}
  return subprocess.Popen(
    [sys.executable, "-m", "heavy_ranker.serve", *flags],
    cwd=folder,
    env={name: value for name, value in environment.items() if not name.startswith("BUILD_WOR")},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_it_is_told_to_stop(tmp_path, number):
  (tmp_path / "saved").mkdir()
  write_version(tmp_path / "saved", 3, factor=3)
  process = _start(tmp_path, "--model_base_path=saved", "--port=-1", "--rest_api_port=0")
  try:
    assert process.stdout.readline() == (
      "serving heavy_ranker version 3 (signatures: parse, rank, serving_default)\n"
    )
    name, address = process.stdout.readline().split()
    assert name == "gRPC:" and address.startswith("127.0.0.1:")
    client = Client(int(address.rpartition(":")[2]))
    np.testing.assert_array_equal(client.predict(tiny_inputs())["y"], tiny_inputs()["x"] * 3)
    client.channel.close()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
  finally:
    process.kill()
  assert process.returncode == 0, errors
  assert output.endswith("stopping\n") and "Traceback" not in errors


@pytest.mark.parametrize(
  "flags, code, words",
  [
    (["--model_base_path=nowhere"], 4, "is missing. Write a version with python -m heavy_ranker."),
    (["--model_base_path=bad.config"], 4, "bad.config is no folder. Write a version with"),
    (["--model_config_file=nowhere"], 4, "--model_config_file"),
    (["--model_config_file=bad.config"], 2, "bad.config: 1:1"),
    (["--port=99999"], 2, "--port: found 99999"),
    (["--set", "a=b"], 2, "--set: found a value"),
  ],
)
def test_says_what_is_wrong_and_how_to_mend_it(tmp_path, flags, code, words):
  (tmp_path / "bad.config").write_text("nonsense")
  process = _start(tmp_path, "--rest_api_port=0", *flags)
  output, errors = process.communicate(timeout=120)
  assert process.returncode == code, errors
  assert words in errors and "Traceback" not in errors
  assert not output
