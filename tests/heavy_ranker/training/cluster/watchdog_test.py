"""A process that cannot end itself is ended; one that can is left alone."""

import os
import subprocess
import sys

from tfrecords.errors import ClusterError

BAZEL_SIZE = "medium"
_PROGRAM = """
import sys, time
from heavy_ranker.training.cluster.watchdog import Watchdog

class Member:
  def wait_for_failure(self, seconds=None):
    return "worker 1 is lost"

watchdog = Watchdog(Member(), seconds_to_end=1.0)
if sys.argv[1] == "ends":
  watchdog.stop()
  time.sleep(2.0)
  sys.exit(0)
time.sleep(60.0)
"""


def _run(how):
  environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
  return subprocess.run(
    [sys.executable, "-c", _PROGRAM, how],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_process_that_hangs_is_ended_with_the_reason():
  done = _run("hangs")
  assert done.returncode == ClusterError.exit_code
  assert done.stderr.endswith("error: worker 1 is lost\n")


def test_a_process_that_ends_by_itself_is_left_alone():
  assert _run("ends").returncode == 0
