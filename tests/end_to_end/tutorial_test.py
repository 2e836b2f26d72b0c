"""The commands of docs/tutorial.md, taken out of the document and run one after the other."""

import pathlib
import re
import shlex
import socket
import subprocess
import time

import pytest

from tests.end_to_end.command_runner import environment, python_command, run

BAZEL_SIZE = "large"
BAZEL_DATA = ["//:docs/tutorial.md", "//configs:all"]

_ROOT = pathlib.Path(__file__).parents[2]
_COMMAND = re.compile(r"\./bazelw run //(\w+):(\w+) --")
_SECONDS_TO_START = 120


@pytest.fixture(scope="module")
def commands():
  """Module and flags of each command, in order; a trailing & is a flag of its own."""
  text = (_ROOT / "docs" / "tutorial.md").read_text()
  found = []
  for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
    words = shlex.split(_COMMAND.sub(r"\1.\2", block.replace("\\\n", " ")))
    found.append((words[0], words[1:]))
  return found


def test_there_are_ten(commands):
  assert [module for module, _ in commands] == [
    "tfrecords.generate_table",
    "tfrecords.ingest",
    "tfrecords.analyze",
    "heavy_ranker.train",
    "heavy_ranker.evaluate",
    "heavy_ranker.importance",
    "heavy_ranker.export",
    "heavy_ranker.score",
    "heavy_ranker.serve",
    "heavy_ranker.client",
  ]


def test_from_a_table_to_a_served_ranker(commands, tmp_path):
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  ports = {"8500": _free_port(), "8501": _free_port()}
  outputs, server = {}, None
  try:
    for module, flags in commands:
      flags = [re.sub(r"\b850[01]\b", lambda port: ports[port.group()], flag) for flag in flags]
      if flags[-1] == "&":
        server = subprocess.Popen(
          python_command(module, *flags[:-1]), cwd=tmp_path, env=environment(tmp_path)
        )
        _wait_for(server, int(ports["8500"]))
        continue
      done = run(module, *flags, cwd=tmp_path)
      assert done.returncode == 0, f"{module} {flags}: {done.stdout}{done.stderr}"
      outputs[module] = done.stdout
  finally:
    if server is not None:
      server.terminate()
      server.wait(timeout=60)
  assert "train: 1" in outputs["tfrecords.ingest"]
  assert "is_video_playback_50" in outputs["heavy_ranker.train"]
  assert (tmp_path / "tutorial" / "models" / "2").is_dir()
  assert "10 of 3936 candidates" in outputs["heavy_ranker.client"]
  assert server.returncode == 0


def _free_port() -> str:
  with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    return str(listener.getsockname()[1])


def _wait_for(server: subprocess.Popen, port: int) -> None:
  end = time.monotonic() + _SECONDS_TO_START
  while time.monotonic() < end and server.poll() is None:
    with socket.socket() as client:
      if client.connect_ex(("127.0.0.1", port)) == 0:
        return
    time.sleep(0.2)
  raise AssertionError(f"the server does not answer on port {port}")
