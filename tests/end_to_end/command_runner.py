"""Runs a command as a user does: a process of its own, a home of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tfrecords import paths


def run(
  command: str, *flags: str, cwd: Path, **more_environment: str
) -> "subprocess.CompletedProcess[str]":
  """Runs `python -m COMMAND FLAGS` in `cwd`, which is also its HOME."""
  return subprocess.run(
    python_command(command, *flags),
    cwd=cwd,
    env={**environment(cwd), **more_environment},
    capture_output=True,
    text=True,
    check=False,
  )


def python_command(command: str, *flags: str) -> list[str]:
  """Returns `python -m COMMAND FLAGS`, for this Python."""
  return [sys.executable, "-m", command, *flags]


def environment(cwd: Path) -> dict[str, str]:
  """Returns the environment of a command whose HOME is `cwd`."""
  inherited = {
    name: value for name, value in os.environ.items() if not name.startswith("BUILD_WOR")
  }
  return {**inherited, "PYTHONPATH": paths.package_root(), "HOME": str(cwd)}
