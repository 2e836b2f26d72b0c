"""Runs a script as `python SCRIPT` does, but keeps the script's folder off sys.path.

Bazel starts every binary and test by its file. Python would then put that file's folder first on
sys.path, where heavy_ranker/train.py would make each of its neighbours importable by its bare
name, ahead of installed packages (`python -P` does the same, but only from Python 3.11 on).
"""

import os
import sys

if __name__ == "__main__":
  if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]
  del sys.argv[0]
  __file__ = sys.argv[0]
  with open(__file__, "rb") as script:
    code = compile(script.read(), __file__, "exec")
  # In this very namespace, so that what the script defines is found in __main__ (pickle, absl).
  exec(code)
