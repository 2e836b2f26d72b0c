"""Whole runs of several worker processes: equal to one machine, and no step is lost in the end.

One machine is fed the union of the workers' batches: each reads files, or records, of its own, so
that nobody else has the same examples in the same batch.
"""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import load_config
from heavy_ranker.checkpoints import checkpoint_folder, latest_checkpoint
from heavy_ranker.training import trainer
from tests.heavy_ranker import id_run
from tests.heavy_ranker.small_run import PLAIN_MODEL, TASKS
from tests.heavy_ranker.training.cluster import slow_worker, workers
from tfrecords.errors import ClusterError, Preempted
from tfrecords.input_pipeline import InputPipeline
from tfrecords.worker_share import WorkerShare

BAZEL_SIZE = "large"
STEPS = 20
_CHANGES = (
  ("training", "num_train_steps", STEPS),
  ("train_data", "global_batch_size", 12),
  ("validation_data", {}),
  # Replicas draw dropout masks of their own.
  ("model", "tasks", TASKS[2], "mlp_config", "dropout", None),
  ("model", "position_debias_config", "drop_probability", 0.0),
  # Adam would make whole steps of the noise in gradients that are truly 0.
  ("optimizer", "adam", "epsilon", 1e-3),
)
# The two wide kernels fill a pack of gradients each.
_WIDE_BLOCK = {"aggregation_size": 16_000, "output_size": 6}
_SEVERAL_PACKS = (
  ("model", "backbone", "mask_net_config", "mask_blocks", [_WIDE_BLOCK]),
  ("training", "workers", {"megabytes_per_pack": 1}),
)
_INTERRUPTIBLE = [sys.executable, slow_worker.__file__]


def _write_config(folder: Path, *changes: tuple) -> Path:
  content = id_run.id_content(folder)
  for *keys, last, value in (*_CHANGES, *changes):
    section = content
    for key in keys:
      section = section[key]
    section[last] = value
  path = folder / "config.json"
  path.write_text(json.dumps(content))
  return path


def _union_of(count: int) -> type:
  class Union(InputPipeline):
    """The rows of all workers' batches, one worker's behind the other's."""

    def __init__(self, *arguments, share, **others):
      super().__init__(*arguments, **others)
      del share
      shares = [WorkerShare(index, count) for index in range(count)]
      parts = [InputPipeline(*arguments, share=share, **others).dataset for share in shares]
      self.dataset = tf.data.Dataset.zip(tuple(parts)).map(
        lambda *batches: tf.nest.map_structure(lambda *rows: tf.concat(rows, 0), *batches)
      )

  return Union


def _train_alone(monkeypatch, path: Path, count: int, save_dir: Path) -> None:
  monkeypatch.setattr(trainer, "InputPipeline", _union_of(count))
  trainer.train(load_config(path, [f"training.save_dir={save_dir}"]))


def _stored(save_dir: Path, step: int) -> dict[str, np.ndarray]:
  """Weights, running statistics and what the optimizer has made of all gradients so far."""
  checkpoint = f"{checkpoint_folder(str(save_dir))}/step-{step}"
  left_out = ("data_position", "data_fingerprint", "save_counter", "GRAPH")
  return {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if not any(part in name for part in left_out)
  }


def _losses(save_dir: Path) -> dict[int, float]:
  lines = (save_dir / "train.log").read_text().splitlines()
  pairs = [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in lines]
  return {int(pair["step"]): float(pair["loss"]) for pair in pairs if "step" in pair}


def _assert_equal_runs(found: Path, expected: Path, steps) -> None:
  losses = _losses(expected)
  assert sorted(losses) == list(range(1, STEPS + 1))
  np.testing.assert_allclose(
    [_losses(found)[step] for step in losses], list(losses.values()), rtol=0, atol=1e-5
  )
  for step in steps:
    one, several = _stored(expected, step), _stored(found, step)
    assert one.keys() == several.keys()
    # Adam's first moment after the first step is the gradient, times 1 - beta_1.
    assert any(name.endswith("m/.ATTRIBUTES/VARIABLE_VALUE") for name in one)
    for name, value in one.items():
      np.testing.assert_allclose(
        several[name], value, rtol=1e-5, atol=1e-5, err_msg=f"step {step}: {name}"
      )


@pytest.mark.parametrize(
  "count, files, changes, last_step",
  # Of half a million weights some have drifted furthest.
  [(2, 3, _SEVERAL_PACKS, STEPS // 2), (3, 2, (), STEPS)],
  ids=["files", "records"],
)
def test_workers_equal_one_machine(count, files, changes, last_step, monkeypatch, tmp_path):
  reading = [("train_data", "num_files_to_keep", files), ("training", "checkpoint_every_n", 1)]
  path = _write_config(tmp_path, *reading, *changes)
  flags = [f"--config_path={path}", f"--export_dir={tmp_path / 'export'}"]
  with workers.running(tmp_path, count, *flags) as processes:
    workers.require_success(processes)
  _train_alone(monkeypatch, path, count, tmp_path / "alone")
  _assert_equal_runs(tmp_path / "run", tmp_path / "alone", (1, 2, last_step))
  # Only the chief writes, and what it exports works anywhere.
  assert [version.name for version in (tmp_path / "export").iterdir()] == ["1"]
  assert len(list((tmp_path / "run" / "tensorboard" / "train").iterdir())) == 1
  tf.saved_model.load(str(tmp_path / "export" / "1"))


def test_no_step_is_lost_when_workers_end(monkeypatch, tmp_path):
  plain = [("model", section, content) for section, content in PLAIN_MODEL.items()]
  path = _write_config(tmp_path, *plain, ("training", "checkpoint_every_n", 4))
  flags = [f"--config_path={path}", f"--export_dir={tmp_path / 'export'}"]

  with workers.running(tmp_path, 2, *flags, program=_INTERRUPTIBLE) as processes:
    processes[0].wait_until_said("step 5:")
    processes[1].process.send_signal(signal.SIGTERM)
    for worker in processes:
      assert worker.exit_code() == Preempted.exit_code, worker.said()
      assert "stopped by SIGTERM after step" in worker.said()
  stopped_at = int(latest_checkpoint(str(tmp_path / "run")).rsplit("-", 1)[1])
  assert 5 <= stopped_at < STEPS - 4

  with workers.running(tmp_path, 2, *flags, program=_INTERRUPTIBLE) as processes:
    processes[0].wait_until_said(f"step {stopped_at + 4}:")
    processes[1].process.kill()
    assert processes[0].exit_code() == ClusterError.exit_code, processes[0].said()
    assert "error: worker 1 (127.0.0.1:" in processes[0].said()
    assert "is lost: its process has ended" in processes[0].said()

  with workers.running(tmp_path, 2, *flags) as processes:
    workers.require_success(processes)
    assert "resuming from" in processes[0].said()
  _train_alone(monkeypatch, path, 2, tmp_path / "alone")
  _assert_equal_runs(tmp_path / "run", tmp_path / "alone", (STEPS,))
  kept = {name.name.split(".")[0] for name in (tmp_path / "run" / "data_positions").iterdir()}
  found = {name.stem for name in (tmp_path / "run" / "checkpoints").glob("*.index")}
  assert kept == found
