"""A run that is killed (SIGKILL) in every phase ends as one that was left alone, bit for bit."""

import random
from collections import Counter

import pytest

from benchmarks.killed_run import CHECKPOINT, EVALUATION, EXPORT, PHASES, STEP, KilledRun, plan
from benchmarks.run_comparison import differences
from tests.heavy_ranker.small_run import write_config

BAZEL_SIZE = "large"
_KILLS = 12
_STEPS = 150
# Another seed kills at other moments.
_SEED = 7


def test_a_plan_goes_through_all_phases_in_the_order_of_a_run():
  phases = plan(_KILLS, random.Random(_SEED))
  assert len(phases) == _KILLS
  assert set(phases) == set(PHASES)
  assert phases == plan(_KILLS, random.Random(_SEED))
  last = [phase for phase in phases if phase in (EVALUATION, EXPORT)]
  assert phases[-len(last) :] == sorted(last)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """Two finished runs, the second of them killed on its way, and the phases it was killed in."""
  folder = tmp_path_factory.mktemp("kills")
  flags = [f"--config_path={write_config(folder)}"]
  overrides = (
    f"training.num_train_steps={_STEPS}",
    "training.checkpoint_every_n=5",
    "training.checkpoint_max_to_keep=3",
    "train_data.cache=true",
    "evaluation.bootstrap_samples=20",
  )
  for override in overrides:
    flags += ["--set", override]
  generator = random.Random(_SEED)
  whole, killed = (
    KilledRun(flags, str(folder / name), str(folder / f"{name}_export"), _STEPS, generator)
    for name in ("whole", "killed")
  )
  whole.finish()
  for phase in plan(_KILLS, generator):
    killed.kill_in(phase)
  output = killed.finish()
  return folder, killed.killed, output


def test_kills_hit_steps_checkpoints_evaluation_and_export(runs):
  _, killed, _ = runs
  assert len(killed) == _KILLS
  assert {STEP, CHECKPOINT, EVALUATION, EXPORT} <= Counter(killed).keys(), killed


def test_the_killed_run_ends_as_the_other_one(runs):
  folder, killed, _ = runs
  whole, other = str(folder / "whole"), str(folder / "killed")
  assert differences(whole, other, (f"{whole}_export", f"{other}_export")) == [], killed


def test_the_comparison_sees_a_line_twice_and_a_weight_that_differs(runs, tmp_path):
  folder, _, _ = runs
  other = folder / "killed"
  exports = (str(folder / "whole_export"), str(folder / "killed_export"))
  log = (other / "train.log").read_text()
  lines = log.splitlines(keepends=True)
  (other / "train.log").write_text("".join([*lines, lines[-1]]))
  found = differences(str(folder / "whole"), str(other), exports)
  (other / "train.log").write_text(log)
  assert len(found) == 1
  assert found[0].startswith("train.log: ")
