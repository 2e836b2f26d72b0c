"""The search's logic, with trials that are a formula instead of training."""

import os

import pytest
import yaml

from heavy_ranker.config import load_config
from heavy_ranker.tuning.search import SearchJob, search
from heavy_ranker.tuning.search_space import SearchSpace
from heavy_ranker.tuning.study import STUDY_FILE, finished_trials, is_complete, rungs_of
from heavy_ranker.tuning.summary import format_summary
from heavy_ranker.tuning.trial_process import TrialFailed
from heavy_ranker.tuning.trial_table import trial_table
from tests.heavy_ranker.small_run import TASKS, small_config
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, StorageError, UserError

_BETA, _SIZES = "optimizer.adam.beta_1", "model.backbone.mask_net_config.mlp.layer_sizes"
_CONTENT = {
  "parameters": {
    _BETA: {"low": 0.1, "high": 0.9},
    _SIZES: {"choices": [[8], [4, 8]]},
    "weight": {
      "low": 1,
      "high": 3,
      "integer": True,
      "sets": [f"model.tasks.{task}.pos_weight" for task in TASKS[:2]],
    },
  },
  "objective": {"partition": "validation", "metric": "auroc"},
  "sampler": {"n_startup_trials": 3},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
  folder = tmp_path_factory.mktemp("small")
  return str(folder / "small.yaml"), small_config(folder)


def _value(config):
  return 0.9 - (config.optimizer.adam.beta_1 - 0.4) ** 2


def _formula(trial, goes_on):
  """Better and better at each rung, as training is."""
  config = load_config(trial.config_path)
  for step in trial.rungs:
    if not goes_on(step, _value(config) * step / config.training.num_train_steps):
      return None
  return _value(config)


@pytest.fixture
def run(small, tmp_path):
  def run(n_trials=6, formula=_formula, name="out", keep_trials=False, **changes):
    path, base = small
    space = validate(SearchSpace, {**_CONTENT, **changes}, "space.yaml")
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    job = SearchJob(path, (), space, n_trials, str(folder), keep_trials)
    return search(job, base, formula), space, folder

  return run


def _history(study):
  return [
    (trial.params, trial.value, trial.state, trial.intermediate_values)
    for trial in finished_trials(study)
  ]


def test_the_best_is_found_and_its_file_trains_as_it_is(run):
  study, space, folder = run(14)
  assert study.best_value > 0.88
  best = load_config(folder / "best.yaml")
  assert best.optimizer.adam.beta_1 == study.best_params[_BETA]
  assert {best.model.tasks[task].pos_weight for task in TASKS[:2]} == {study.best_params["weight"]}
  assert best.training.save_dir == str(folder / "best_run")
  table = (folder / "trials.md").read_text()
  assert table.count("\n| ") == 15 and "layer_sizes" in table
  assert (folder / "search.svg").read_text().startswith("<?xml")
  assert os.listdir(folder / "trials") == []
  summary = format_summary(study, space, str(folder))
  assert "14 complete, 0 pruned, 0 failed" in summary and "best.yaml" in summary


def test_the_same_seed_gives_the_same_trials_and_another_one_others(run):
  assert _history(run(name="a")[0]) == _history(run(name="b")[0])
  assert _history(run(name="a")[0]) != _history(run(name="c", sampler={"seed": 1})[0])


@pytest.mark.parametrize("pruner", [None, {"median": {"n_startup_trials": 2}}])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(run, pruner):
  whole = _history(run(8, name="whole", pruner=pruner)[0])
  calls = []

  def interrupted(trial, goes_on):
    calls.append(trial.folder)
    if len(calls) in (2, 5, 9):
      for step in trial.rungs[:1]:
        goes_on(step, 0.1)
      raise KeyboardInterrupt
    return _formula(trial, goes_on)

  for _ in range(3):
    with pytest.raises(KeyboardInterrupt):
      run(8, interrupted, pruner=pruner)
  study, _, folder = run(8, interrupted, pruner=pruner)
  assert _history(study) == whole
  assert calls[1] == calls[2] == str(folder / "trials" / "1")
  assert _history(run(8, None, pruner=pruner)[0]) == whole  # Nothing is left to run.


def test_what_a_killed_process_left_of_a_line_does_no_harm(run):
  _, _, folder = run(3)
  with open(folder / STUDY_FILE, "a") as file:
    file.write('{"op_code": 4, "wor')
  assert len(finished_trials(run(5)[0])) == 5


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"objective": {"partition": "validation"}}, 'objective.metric: "auroc" there, "relative'),
    ({"parameters": {_BETA: {"low": 0.1, "high": 0.8}}}, "high: 0.9 there, 0.8 here"),
    ({"sampler": {"seed": 3}}, "sampler.seed: 0 there, 3 here"),
  ],
)
def test_another_search_in_the_same_folder_is_refused(run, changes, message):
  run(1)
  with pytest.raises(ConfigError, match=message):
    run(1, **changes)


def test_a_folder_of_something_else_is_refused(run, tmp_path):
  (tmp_path / "out").mkdir()
  (tmp_path / "out" / "thesis.txt").touch()
  with pytest.raises(StorageError, match="holds something else .thesis.txt"):
    run(1)
  assert os.listdir(tmp_path / "out") == ["thesis.txt"]


def test_a_damaged_study_is_told(run, tmp_path):
  (tmp_path / "out").mkdir()
  (tmp_path / "out" / STUDY_FILE).write_text("no json\n{}\n[]\n")
  with pytest.raises(StorageError, match="cannot be read"):
    run(1)


def test_failed_trials_are_recorded_and_the_search_goes_on(run):
  def some_fail(trial, goes_on):
    number = int(os.path.basename(trial.folder))
    if number in (0, 1, 3):
      with open(os.path.join(trial.folder, "output.txt"), "w") as file:
        file.write("what it said")
      raise TrialFailed(f"{trial.folder}: loss | of trial {number} is not finite", 6)
    return _formula(trial, goes_on)

  study, space, folder = run(5, some_fail)
  assert [trial.state.name for trial in finished_trials(study)].count("FAIL") == 3
  assert "failed: SAVE_DIR: loss | of trial 3" in trial_table(study, space, "simple")
  assert r"loss \| of trial 3" in (folder / "trials.md").read_text()
  assert sorted(os.listdir(folder / "trials")) == ["0", "1", "3"]
  assert sorted(os.listdir(folder / "trials" / "0")) == ["output.txt", "trial.yaml"]


def test_a_combination_that_cannot_be_is_a_failed_trial(run):
  parameters = {
    _BETA: {"low": 0.1, "high": 0.9},
    "model.backbone": {
      "choices": [
        {"mlp_config": {"layer_sizes": [8]}},
        {"mask_net_config": {"mask_blocks": [{"aggregation_size": 8, "output_size": 6}]}},
      ]
    },
    "model.backbone.mlp_config.layer_sizes": {"choices": [[8], [4]]},
  }
  study, _, _ = run(6, parameters=parameters)
  failed = [trial.user_attrs["failure"] for trial in finished_trials(study) if trial.value is None]
  assert 0 < len(failed) < 6 and "exactly one of" in failed[0]


def test_the_first_trials_failing_alike_end_the_search(run):
  def fail(trial, goes_on):
    raise TrialFailed(f"{trial.folder}: no records", 3)

  with pytest.raises(UserError, match="first 3 trials .* same way: SAVE_DIR: no rec") as ended:
    run(9, fail)
  assert ended.value.exit_code == 3
  with pytest.raises(UserError, match="no trial came to its end"):
    run(2, fail, name="few")
  assert len(finished_trials(run(5)[0])) == 5  # Mended, it goes on.


@pytest.mark.parametrize("error", [StorageError("no space left"), OSError(28, "no space left")])
def test_a_full_disk_ends_the_search_and_the_trial_is_made_again(run, error):
  def full(trial, goes_on):
    raise error

  with pytest.raises(StorageError, match="no space left"):
    run(2, full)
  assert len(_history(run(2)[0])) == 2


def test_the_median_prunes_what_is_worse(run):
  values = iter([0.5, 0.6, 0.4, 0.7])

  def given(trial, goes_on):
    value = next(values)
    return value if all(goes_on(step, value) for step in trial.rungs) else None

  study, space, folder = run(4, given, pruner={"median": {"rungs": [0.5], "n_startup_trials": 2}})
  states = [trial.state.name for trial in finished_trials(study)]
  assert states == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
  assert "pruned after step 3, with 0.4" in (folder / "trials.md").read_text()


def test_halving_lets_one_in_three_go_on(run):
  values = iter([0.9, 0.1, 0.2, 0.3, 0.4, 0.95, 0.05, 0.06, 0.07])

  def given(trial, goes_on):
    value = next(values)
    return value if all(goes_on(step, value) for step in trial.rungs) else None

  study, _, _ = run(9, given, pruner={"successive_halving": {"num_rungs": 1}})
  assert [trial.value for trial in finished_trials(study) if is_complete(trial)] == [0.9, 0.95]


@pytest.mark.parametrize(
  "pruner, steps, rungs",
  [
    ({"median": {"rungs": [0.5, 0.1, 0.11]}}, 10, [1, 5]),
    ({"median": {"rungs": [0.01]}}, 10, []),
    ({"successive_halving": {"num_rungs": 2}}, 1200, [133, 399]),
    ({"successive_halving": {"num_rungs": 5}}, 10, [1, 3]),
    ({"successive_halving": {}}, 1, []),
  ],
)
def test_rungs_lie_before_the_last_step(pruner, steps, rungs):
  space = validate(SearchSpace, {**_CONTENT, "pruner": pruner}, "space.yaml")
  assert rungs_of(space, steps) == rungs


def test_kept_trials_stay(run):
  _, _, folder = run(2, keep_trials=True)
  content = yaml.safe_load((folder / "trials" / "1" / "trial.yaml").read_text())
  assert content["training"]["save_dir"] == str(folder / "trials" / "1")
