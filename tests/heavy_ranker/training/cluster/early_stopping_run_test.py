"""Several workers end early together: the chief measures, all stop after the same step."""

import json
from pathlib import Path

import yaml

from heavy_ranker.early_stopping_record import read_record
from tests.heavy_ranker.small_run import small_content
from tests.heavy_ranker.training.cluster import workers

BAZEL_SIZE = "large"


def _write_config(folder: Path) -> Path:
  content = small_content(folder)
  content["training"].update(
    num_train_steps=40,
    checkpoint_every_n=4,
    checkpoint_max_to_keep=1,
    # No AUROC is better than another by that much.
    early_stopping={
      "partition": "validation",
      "metric": "auroc",
      "patience": 2,
      "min_improvement": 2.0,
    },
  )
  content["evaluation"] = {"bootstrap_samples": 0}
  path = folder / "config.yaml"
  path.write_text(yaml.safe_dump(content))
  return path


def test_workers_end_early_together(tmp_path):
  path = _write_config(tmp_path)
  flags = [f"--config_path={path}", f"--export_dir={tmp_path / 'export'}"]
  ended = "ended training after step 12 of 40: 2 evaluations without an improvement"
  for _ in range(2):
    with workers.running(tmp_path, 2, *flags) as processes:
      workers.require_success(processes)
      for worker in processes:
        assert ended in worker.said(), worker.said()
  # The second time.
  assert f"nothing left to train: training.early_stopping {ended}" in processes[1].said()
  found = read_record(str(tmp_path / "run"))
  assert [each.step for each in found.evaluations] == [4, 8, 12]
  kept = {path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.index")}
  # The one that was the best before step 12 goes with the next checkpoint only.
  assert {f"step-{found.best_step}", "step-12"} <= kept and len(kept) <= 2
  assert [version.name for version in (tmp_path / "export").iterdir()] == ["1"]
  origin = json.loads((tmp_path / "export" / "1" / "assets.extra" / "origin.json").read_text())
  assert origin["checkpoint"].endswith(f"step-{found.best_step}")
