"""A run that is killed (SIGKILL) in every phase ends as one that was left alone, bit for bit."""

import os
import random
import signal

import pytest

from benchmarks.killed_run import CHECKPOINT, EVALUATION, EXPORT, PHASES, STEP, KilledRun, plan
from benchmarks.run_comparison import differences
from tests.heavy_ranker.small_run import write_config

BAZEL_SIZE = "large"
_KILLS = 12
_STEPS = 150
# Another seed kills at other moments.
_SEED = 7
_OVERRIDES = (
  f"training.num_train_steps={_STEPS}",
  "training.checkpoint_every_n=5",
  "training.checkpoint_max_to_keep=3",
  "train_data.cache=true",
  "evaluation.bootstrap_samples=20",
)


def test_a_plan_goes_through_all_phases_in_the_order_of_a_run():
  phases = plan(_KILLS, random.Random(_SEED))
  assert len(phases) == _KILLS
  assert set(phases) == set(PHASES)
  assert phases == plan(_KILLS, random.Random(_SEED))
  last = [phase for phase in phases if phase in (EVALUATION, EXPORT)]
  assert phases[-len(last) :] == sorted(last)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("kills")
  write_config(path)
  return path


def _run(folder, name, generator):
  flags = [f"--config_path={folder / 'small.yaml'}"]
  for override in _OVERRIDES:
    flags += ["--set", override]
  return KilledRun(flags, str(folder / name), str(folder / f"{name}_export"), _STEPS, generator)


@pytest.fixture(scope="module")
def whole(folder):
  """A run that nobody disturbs."""
  _run(folder, "whole", random.Random(_SEED)).finish()
  return folder / "whole"


@pytest.fixture(scope="module")
def killed(folder):
  """A run that is killed on its way, finished, and the phases it was killed in."""
  generator = random.Random(_SEED)
  run = _run(folder, "killed", generator)
  for phase in plan(_KILLS, generator):
    run.kill_in(phase)
  run.finish()
  return folder / "killed", run.killed


def _differences(run, other):
  return differences(str(run), str(other), (f"{run}_export", f"{other}_export"))


def test_kills_hit_steps_checkpoints_evaluation_and_export(killed):
  assert len(killed[1]) == _KILLS
  assert {STEP, CHECKPOINT, EVALUATION, EXPORT} <= set(killed[1]), killed[1]


def test_the_killed_run_ends_as_the_other_one(whole, killed):
  assert _differences(whole, killed[0]) == [], killed[1]


def test_the_comparison_sees_what_is_there_twice(whole, killed):
  path = killed[0] / "train.log"
  log = path.read_text()
  path.write_text(log + log.splitlines(keepends=True)[-1])
  found = _differences(whole, killed[0])
  path.write_text(log)
  assert len(found) == 1
  assert found[0].startswith("train.log: missing []")


def test_sigterm_in_every_phase_ends_with_its_exit_code_and_loses_nothing(whole, folder):
  run = _run(folder, "preempted", random.Random(_SEED))
  for phase, times in ((STEP, 2), (EVALUATION, 1), (EXPORT, 2)):
    run.kill_in(phase, signal.SIGTERM, times)
    assert [name for name in os.listdir(folder / "preempted_export") if "unfinished" in name] == []
  run.finish()
  found = _differences(whole, folder / "preempted")
  # The checkpoint of the step it stopped at has its line in the log, and has been deleted since.
  assert [each for each in found if not each.startswith("train.log: missing []")] == []
  assert " event=preempted at=" in (folder / "preempted" / "train.log").read_text()
