"""What `//heavy_ranker:tune` does from start to end: look at the data, search, report."""

import os

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.evaluation.evaluator import open_partition
from heavy_ranker.tuning.search import SearchJob, search
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.summary import format_summary
from tfrecords.errors import StorageError
from tfrecords.folders import alone_in, make_writable
from tfrecords.paths import is_remote


def search_and_report(
  config_path: str,
  overrides: tuple[str, ...],
  base: HeavyRankerConfig,
  space: SearchSpace,
  n_trials: int,
  output_dir: str,
  keep_trials: bool = False,
) -> None:
  """Searches and prints the best trials; one process at a time works in the folder.

  Args:
    config_path: the base configuration's file.
    overrides: "dotted.key=yaml value", for all trials.
    base: what the two say.
    space: what to vary.
    n_trials: how many trials in all.
    output_dir: the search's folder, as the user gave it.
    keep_trials: leave the folders of finished trials.

  Raises:
    UserError: configuration, data or folder cannot be used, or every trial fails.
    Preempted, KeyboardInterrupt: it was told to end; the same call goes on.
  """
  if is_remote(output_dir):
    raise StorageError(
      f"--output_dir: found {output_dir}, allowed: a folder of this machine's file system, which "
      "the study needs"
    )
  check_config(base)
  partition = space.objective.partition
  open_partition(base, partition, base.validation_data[partition])
  folder = make_writable(output_dir, "--output_dir")
  with alone_in(os.path.normpath(folder)):
    job = SearchJob(config_path, overrides, space, n_trials, folder, keep_trials)
    print(format_summary(search(job, base), space, folder))
