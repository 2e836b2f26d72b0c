"""Tests of `heavy_ranker.full_run` that need no training."""

import os
import subprocess
import sys

from heavy_ranker.full_run import make_random_data_if_missing
from tests.tfrecords import record_files


def test_folders_of_days_are_never_filled_with_random_records(tmp_path):
  section = {"data_root": str(tmp_path / "data"), "end_date": "2023/03/01", "days": 1}
  config = record_files.data_config(tmp_path, inputs=None, explicit_date_inputs=section)
  make_random_data_if_missing(config)
  assert not (tmp_path / "data").exists()


def test_what_only_the_end_of_a_run_needs_is_not_imported_before_its_start():
  code = "import sys, heavy_ranker.full_run; print({'matplotlib', 'scipy.stats'} & {*sys.modules})"
  environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
  found = subprocess.run(
    [sys.executable, "-c", code], env=environment, capture_output=True, text=True
  )
  assert (found.stdout, found.returncode) == ("set()\n", 0), found.stderr
