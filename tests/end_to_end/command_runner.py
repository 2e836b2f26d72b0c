"""Runs a command as a user does: a process of its own, a home of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tfrecords import paths


def run(
  command: str, *flags: str, cwd: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
  """Runs `python -m COMMAND FLAGS` in `cwd`, which is also its HOME."""
  inherited = {
    name: value for name, value in os.environ.items() if not name.startswith("BUILD_WOR")
  }
  return subprocess.run(
    [sys.executable, "-m", command, *flags],
    cwd=cwd,
    env={**inherited, "PYTHONPATH": paths.package_root(), "HOME": str(cwd), **environment},
    capture_output=True,
    text=True,
    check=False,
  )
