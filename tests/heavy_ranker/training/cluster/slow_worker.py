"""The training command with steps slow enough to be interrupted."""

import runpy
import time

from heavy_ranker.training.run_log import RunLog

_SECONDS_A_STEP = 0.3

if __name__ == "__main__":
  advance = RunLog.advance

  def advance_slowly(self):
    time.sleep(_SECONDS_A_STEP)
    advance(self)

  RunLog.advance = advance_slowly
  runpy.run_module("heavy_ranker.train", run_name="__main__")
