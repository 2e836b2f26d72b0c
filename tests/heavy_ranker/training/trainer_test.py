"""Training runs: resuming, checkpoints, logs, and what goes wrong."""

import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import train
from heavy_ranker.checkpoint_manifest import damage
from heavy_ranker.checkpoints import latest_checkpoint
from heavy_ranker.training import checkpoint_files, trainer
from heavy_ranker.training.run_log import log_path, tensorboard_folder
from tests.heavy_ranker.small_run import TASKS, small_config, write_config, write_records
from tfrecords import paths
from tfrecords.errors import CheckpointError, DataError, Preempted, StorageError, TrainingError

BAZEL_SIZE = "large"


@pytest.fixture(scope="module", name="whole")
def whole_fixture(tmp_path_factory):
  """(folder, history) of a run of 6 steps that nobody disturbs, for tests that begin with one."""
  folder = tmp_path_factory.mktemp("whole")
  return folder, train(small_config(folder))


@pytest.fixture(name="finished")
def finished_fixture(whole, tmp_path):
  """How to make configurations whose run is a copy of that one, on the same data."""
  shutil.copytree(whole[0] / "run", tmp_path / "run")
  return lambda *overrides: small_config(
    whole[0], f"training.save_dir={tmp_path / 'run'}", *overrides
  )


def _stored(save_dir):
  """All numbers of the newest checkpoint but the count of saves, which a restart may change."""
  checkpoint = latest_checkpoint(str(save_dir))
  return {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if "data_position" not in name and "GRAPH" not in name and "save_counter" not in name
  }


def _without_speed(history):
  return [{k: v for k, v in entry.items() if k != "examples_per_second"} for entry in history]


def test_resumed_run_equals_one_that_never_stopped(whole, tmp_path):
  folder, history = whole
  parts = []
  for steps in (1, 3, 6):
    parts += train(
      small_config(
        folder, f"training.save_dir={tmp_path / 'parts'}", f"training.num_train_steps={steps}"
      )
    )
  assert _without_speed(parts) == _without_speed(history)
  expected, found = _stored(folder / "run"), _stored(tmp_path / "parts")
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)


_READING = {
  "ignore_data_errors": ["train_data.ignore_data_errors=true"],
  "all_but_that": [
    "train_data.cache=true",
    "train_data.file_batch_size=2",
    "train_data.sampler={name: share, kwargs: {rate: 0.7, seed: 3}}",
  ],
}


@pytest.mark.parametrize("name", _READING)
def test_resumed_run_equals_one_that_never_stopped_however_data_is_read(tmp_path, name):
  config = small_config(tmp_path, *_READING[name])
  path = tmp_path / "data" / "part-1.gz"
  if "ignore" in name:
    path.write_bytes(path.read_bytes()[:-600])
  whole = train(config.model_copy(update={"training": _training(config, tmp_path / "whole", 18)}))
  parts = []
  for steps in (11, 18):
    section = _training(config, tmp_path / "parts", steps)
    parts += train(config.model_copy(update={"training": section}))
  assert _without_speed(parts) == _without_speed(whole)
  if "ignore" in name:
    lines = Path(log_path(str(tmp_path / "whole"))).read_text().splitlines()
    assert f"1 file(s) in part or as a whole; the first bad file: {path}: " in lines[-1]
    assert "event=skipped_data" in lines[-1]


def test_a_run_with_a_data_service_resumes_and_says_that_reading_starts_anew(tmp_path, capsys):
  service = tf.data.experimental.service
  dispatcher = service.DispatchServer()
  worker = service.WorkerServer(service.WorkerConfig(dispatcher.target.split("://")[1]))
  override = f"train_data.data_service_dispatcher={dispatcher.target}"
  train(small_config(tmp_path, override, "training.num_train_steps=1"))
  history = train(small_config(tmp_path, override, "training.num_train_steps=3"))
  assert [entry["step"] for entry in history] == [2, 3]
  assert "a data service cannot save its position: reading starts" in capsys.readouterr().out
  del worker


def _training(config, save_dir, steps):
  return config.training.model_copy(
    update={"save_dir": str(save_dir), "num_train_steps": steps, "checkpoint_every_n": 3}
  )


def test_same_seed_same_run_other_seed_other_run(whole, tmp_path):
  folder, history = whole
  runs = []
  for seed in (0, 1):
    overrides = [f"training.save_dir={tmp_path / str(seed)}", f"training.seed={seed}"]
    runs.append(_without_speed(train(small_config(folder, *overrides))))
  assert runs[0] == _without_speed(history)
  assert runs[1] != runs[0]


def test_makes_exactly_the_steps_asked_for_and_checkpoints_on_the_way(whole):
  folder, history = whole
  assert [entry["step"] for entry in history] == [1, 2, 3, 4, 5, 6]
  assert set(history[0]) == {
    "step",
    "loss",
    "examples_per_second",
    *(f"loss/{task}" for task in TASKS),
  }
  names = [path.name for path in (folder / "run" / "checkpoints").glob("*.index")]
  assert sorted(names) == ["step-4.index", "step-6.index"]
  assert _stored(folder / "run")["step/.ATTRIBUTES/VARIABLE_VALUE"] == 6


def test_checkpoints_do_not_depend_on_the_log_and_old_ones_are_deleted(tmp_path):
  train(
    small_config(
      tmp_path,
      "training.train_log_every_n=100",
      "training.checkpoint_every_n=1",
      "training.checkpoint_max_to_keep=2",
    )
  )
  folder = tmp_path / "run" / "checkpoints"
  assert sorted(path.name for path in folder.glob("*.index")) == ["step-5.index", "step-6.index"]


def test_a_finished_run_has_nothing_left_to_train(finished, capsys):
  assert train(finished()) == []
  assert "nothing left to train: 6 of 6" in capsys.readouterr().out


def test_fresh_moves_the_earlier_run_aside_and_says_so(whole, finished, tmp_path, capsys):
  again = train(finished(), fresh=True)
  assert _without_speed(again) == _without_speed(whole[1])
  assert (tmp_path / "run.1" / "checkpoints" / "step-6.index").exists()
  assert f"now lies in {tmp_path / 'run.1'}" in capsys.readouterr().out


def test_other_data_restarts_reading_but_keeps_what_was_learned(finished, tmp_path, capsys):
  write_records(tmp_path / "other", seed=5)
  overrides = [f"train_data.inputs={tmp_path / 'other' / '*.gz'}", "training.num_train_steps=8"]
  history = train(finished(*overrides))
  assert [entry["step"] for entry in history] == [7, 8]
  assert "the training data has changed" in capsys.readouterr().out


def test_log_can_be_grepped_and_tensorboard_has_every_scalar(whole):
  run = str(whole[0] / "run")
  lines = Path(log_path(run)).read_text().splitlines()
  assert sum(" step=" in line for line in lines) == 6
  assert sum(" event=checkpoint " in line for line in lines) == 2
  assert f"loss/{TASKS[0]}=" in lines[1]
  tags = set()
  for path in tf.io.gfile.glob(f"{tensorboard_folder(run)}/train/*"):
    for event in tf.compat.v1.train.summary_iterator(path):
      tags |= {value.tag for value in event.summary.value}
  rates = {f"learning_rate/{group}" for group in (*TASKS, "backbone")}
  losses = {f"loss/{task}" for task in TASKS}
  assert {"loss", "examples_per_second"} | rates | losses == tags


def test_the_loss_falls_on_data_that_can_be_learned(tmp_path):
  history = train(
    small_config(
      tmp_path,
      "training.num_train_steps=120",
      "train_data.global_batch_size=60",
      "training.checkpoint_every_n=1000",
    )
  )
  losses = [entry["loss"] for entry in history]
  assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_a_loss_that_is_not_finite_stops_without_a_checkpoint(tmp_path):
  overrides = [
    "optimizer.multi_task_learning_rates=null",
    "optimizer.single_task_learning_rate={constant: 1.0e+38}",
    "training.checkpoint_every_n=100",
  ]
  with pytest.raises(TrainingError, match="the loss is not finite .*is_favorited"):
    train(small_config(tmp_path, *overrides))
  assert latest_checkpoint(str(tmp_path / "run")) is None


def test_a_checkpoint_of_another_architecture_is_refused_and_told_apart(finished):
  block = "model.backbone.mask_net_config.mask_blocks.1.output_size=7"
  with pytest.raises(CheckpointError) as caught:
    train(finished(block, "training.num_train_steps=9"))
  message = str(caught.value)
  assert "backbone/mask_block_1/hidden/kernel: checkpoint (20, 6), model (20, 7)" in message
  assert "step-6" in message
  assert "--fresh" in message


def _steps_of_log(run):
  words = Path(log_path(str(run))).read_text().split()
  return [int(word[5:]) for word in words if word.startswith("step=")]


def test_a_damaged_checkpoint_is_named_the_one_before_is_used_and_it_is_replaced(
  whole, finished, tmp_path, capsys
):
  folder = tmp_path / "run" / "checkpoints"
  data = folder / "step-6.data-00000-of-00001"
  content = bytearray(data.read_bytes())
  content[len(content) // 3] ^= 1
  data.write_bytes(content)
  again = train(finished())
  assert "step-6.data-00000-of-00001 is not as it was written" in capsys.readouterr().err
  assert _without_speed(again) == _without_speed(whole[1])[4:]
  assert _steps_of_log(tmp_path / "run") == list(range(1, 7))
  assert damage(str(folder / "step-6")) is None


def test_a_new_checkpoint_that_is_not_as_it_was_written_costs_no_old_one(
  finished, tmp_path, monkeypatch
):

  def damaged(prefix):
    raise tf.errors.DataLossError(None, None, f"{prefix}: checksum does not match")

  monkeypatch.setattr(checkpoint_files, "read_everything", damaged)
  more = ("training.checkpoint_max_to_keep=1", "training.num_train_steps=7")
  with pytest.raises(StorageError, match="step 7 cannot be written: .*resumes from .*/step-6"):
    train(finished(*more))
  folder = tmp_path / "run" / "checkpoints"
  names = {path.name.split(".")[0] for path in folder.iterdir()}
  assert names == {"checkpoint", "step-4", "step-6"}
  assert damage(str(folder / "step-6")) is None


def test_a_checkpoint_that_is_half_deleted_is_told_of_and_the_one_before_is_used(
  finished, tmp_path, capsys
):
  folder = tmp_path / "run" / "checkpoints"
  (folder / "step-6.index").unlink()
  train(finished("training.num_train_steps=5"))
  assert "step-6: step-6.index is missing" in capsys.readouterr().err
  names = {path.name.split(".")[0] for path in folder.iterdir()}
  assert names == {"checkpoint", "step-4", "step-5"}


def test_sigterm_ends_with_a_checkpoint_of_the_step_and_nothing_is_lost(
  whole, tmp_path, monkeypatch
):
  config = small_config(whole[0], f"training.save_dir={tmp_path / 'run'}")
  original = trainer.RunLog.advance

  def advance(self):
    original(self)
    if self._step == 2:
      for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(trainer.RunLog, "advance", advance)
  with pytest.raises(Preempted, match="after step 2 of 6") as caught:
    train(config)
  assert caught.value.code == 10
  monkeypatch.undo()
  assert latest_checkpoint(str(tmp_path / "run")).endswith("step-2")
  assert _without_speed(train(config)) == _without_speed(whole[1])[2:]
  assert _steps_of_log(tmp_path / "run") == [1, 2, 3, 4, 5, 6]
  assert "event=preempted at=2" in Path(log_path(str(tmp_path / "run"))).read_text()
  expected, found = _stored(whole[0] / "run"), _stored(tmp_path / "run")
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_deleting_the_newest_checkpoint_goes_back_to_the_one_before(
  whole, finished, tmp_path, capsys
):
  folder = tmp_path / "run" / "checkpoints"
  # That of step 4 is then as earlier versions wrote them.
  for path in [*folder.glob("step-6.*"), folder / "step-4.manifest"]:
    path.unlink()
  again = train(finished())
  told = capsys.readouterr()
  assert "step-4 (start over" in told.out
  assert "damaged" not in told.err
  assert _without_speed(again) == _without_speed(whole[1])[4:]


def test_leftovers_of_an_interrupted_save_are_removed(finished, tmp_path):
  folder = tmp_path / "run" / "checkpoints"
  (folder / "step-8_temp").mkdir()
  (folder / "step-8_temp" / "part-00000").write_text("half")
  (folder / "step-8.data-00000-of-00001").write_text("half")
  train(finished("training.num_train_steps=7"))
  names = {path.name for path in folder.iterdir()}
  assert not any(name.startswith("step-8") for name in names)
  assert "step-7.index" in names


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
  (tmp_path / "file").write_text("no folder")
  with pytest.raises(StorageError, match="training.save_dir: .*cannot be written"):
    train(small_config(tmp_path, f"training.save_dir={tmp_path / 'file' / 'run'}"))


def test_data_that_ends_before_the_last_step_is_named(tmp_path):
  with pytest.raises(TrainingError, match="the data ended after 7 steps"):
    train(small_config(tmp_path, "train_data.repeat_files=false", "training.num_train_steps=50"))


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
  with pytest.raises(DataError, match="global_batch_size: found 121, allowed: at most 120"):
    train(small_config(tmp_path, "train_data.global_batch_size=121"))


_ON_A_FULL_DISK = """
import resource, sys
from heavy_ranker import load_config, train
fewer, more = (
  load_config(sys.argv[1], ["training.checkpoint_every_n=2", f"training.num_train_steps={steps}"])
  for steps in (2, 4)
)
train(fewer)
# No file may grow beyond this: what a full disk does, without filling one.
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
  train(more)
except Exception as error:
  print(type(error).__name__, error)
"""


def test_a_full_disk_at_a_checkpoint_is_named_and_keeps_the_last_good_one(tmp_path):
  path = write_config(tmp_path)
  done = subprocess.run(
    [sys.executable, "-c", _ON_A_FULL_DISK, str(path)],
    cwd=paths.package_root(), capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert "StorageError" in done.stdout, done.stdout + done.stderr
  assert "the checkpoint of step 4 cannot be written" in done.stdout
  assert "resumes from" in done.stdout
  folder = tmp_path / "run" / "checkpoints"
  assert {path.name.split(".")[0] for path in folder.iterdir()} == {"checkpoint", "step-2"}
  assert damage(str(folder / "step-2")) is None


def test_history_holds_finite_numbers(whole):
  for entry in whole[1]:
    assert all(math.isfinite(value) for value in entry.values())
