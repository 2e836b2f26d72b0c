"""Tests of `heavy_ranker.training.log_history`."""

import pytest
import tensorflow as tf

from heavy_ranker.training.log_history import cut_back, keep_scalars
from heavy_ranker.training.run_log import RunLog, tensorboard_folder


def _log(folder, first, last, checkpoints):
  with RunLog(str(folder), first, 9) as log:
    log.event("training", f"from {first}")
    for step in range(first + 1, last + 1):
      log.advance()
      log.step(step, 8, {"loss": step / 2, "t": 1.0}, {"backbone": 0.1}, {}, {}, {})
      if step in checkpoints:
        log.event("checkpoint", f"{folder}/checkpoints/step-{step}", megabytes=1.0)
    log.flush()


def _lines(folder, name="train.log"):
  path = folder / name
  return path.read_text().splitlines() if path.exists() else []


def _steps(folder):
  return [int(line.split(" step=")[1].split()[0]) for line in _lines(folder) if " step=" in line]


def _scalar_steps(folder):
  steps = []
  for path in tf.io.gfile.glob(f"{tensorboard_folder(str(folder))}/train/*tfevents*"):
    for event in tf.compat.v1.train.summary_iterator(path):
      steps += [event.step for value in event.summary.value if value.tag == "loss"]
  return sorted(steps)


def test_what_is_done_again_is_there_once(tmp_path):
  _log(tmp_path, 0, 5, {2, 4})
  cut_back(str(tmp_path), 4, f"{tmp_path}/checkpoints/step-4")
  assert (_steps(tmp_path), _scalar_steps(tmp_path)) == ([1, 2, 3, 4], [1, 2, 3, 4])
  assert [line.split(" ", 1)[1].split()[0] for line in _lines(tmp_path, "discarded.log")] == [
    "step=5"
  ]
  _log(tmp_path, 4, 7, {6})
  cut_back(str(tmp_path), 2, f"{tmp_path}/checkpoints/step-2")
  assert (_steps(tmp_path), _scalar_steps(tmp_path)) == ([1, 2], [1, 2])
  events = [line.split()[1:3] for line in _lines(tmp_path) if " event=" in line]
  assert events == [["event=training", "at=0"], ["event=checkpoint", "at=2"]]


def test_the_line_of_a_checkpoint_that_was_not_written_any_more_is_added(tmp_path):
  _log(tmp_path, 0, 3, set())
  for _ in range(2):
    cut_back(str(tmp_path), 3, "/run/checkpoints/step-3")
  found = [line.split(" ", 1)[1] for line in _lines(tmp_path) if "event=checkpoint" in line]
  assert found == ['event=checkpoint at=3 text="/run/checkpoints/step-3"']
  assert _steps(tmp_path) == [1, 2, 3]


def test_half_a_line_and_half_a_record_are_dropped(tmp_path):
  _log(tmp_path, 0, 3, {3})
  with open(tmp_path / "train.log", "a") as file:
    file.write("2026-01-01T00:00:00+00:00 step=4 lo")
  (path,) = tf.io.gfile.glob(f"{tensorboard_folder(str(tmp_path))}/train/*")
  with open(path, "ab") as file:
    file.write(b"\x07\x00\x00")
  cut_back(str(tmp_path), 3, f"{tmp_path}/checkpoints/step-3")
  assert (_steps(tmp_path), _scalar_steps(tmp_path)) == ([1, 2, 3], [1, 2, 3])
  assert tf.io.gfile.glob(f"{tensorboard_folder(str(tmp_path))}/train/*") == [path]


def test_without_a_checkpoint_everything_goes(tmp_path):
  _log(tmp_path, 0, 3, set())
  cut_back(str(tmp_path), 0, None)
  assert (_steps(tmp_path), _scalar_steps(tmp_path)) == ([], [])
  assert len(_lines(tmp_path, "discarded.log")) == 3


def test_logs_of_earlier_versions_are_understood(tmp_path):
  lines = [
    'T event=training text="steps 1 to 9"',
    "T step=1 loss=1",
    "T step=2 loss=1",
    'T event=checkpoint text="/run/checkpoints/step-2"',
    "T step=3 loss=1",
    'T event=skipped_data text="3"',
  ]
  (tmp_path / "train.log").write_text("\n".join(lines) + "\n")
  cut_back(str(tmp_path), 2, "/run/checkpoints/step-2")
  assert _lines(tmp_path) == lines[:4]


def test_nothing_there_is_nothing_to_cut(tmp_path):
  cut_back(str(tmp_path), 0, None)
  assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_cut_that_was_interrupted_are_removed(tmp_path):
  (tmp_path / ".unfinished-1").write_text("half")
  keep_scalars(str(tmp_path), lambda step: True)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [1, 3])
def test_a_log_that_needs_no_cut_is_left_alone(tmp_path, step):
  _log(tmp_path, 0, step, {step})
  before = (tmp_path / "train.log").stat().st_ino
  cut_back(str(tmp_path), step, f"{tmp_path}/checkpoints/step-{step}")
  assert (tmp_path / "train.log").stat().st_ino == before
  assert not (tmp_path / "discarded.log").exists()
