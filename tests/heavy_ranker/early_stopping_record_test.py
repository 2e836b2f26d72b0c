"""Tests of `heavy_ranker.early_stopping_record`: what follows from values, without any training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavy_ranker.config.early_stopping import EarlyStoppingConfig
from heavy_ranker.config.objective import Objective
from heavy_ranker.early_stopping_record import (
  EarlyStoppingRecord,
  Evaluation,
  plain_objective,
  read_record,
  record_path,
  standing,
  stopping_step,
  write_record,
)
from tests.heavy_ranker import example_config
from tfrecords.errors import CheckpointError, StorageError


def evaluations(*values):
  return [
    Evaluation(step=10 * (1 + place), value=value, values={"a": value}, index="", seconds=0.1)
    for place, value in enumerate(values)
  ]


def section(**changes):
  return EarlyStoppingConfig(**{"partition": "choose", "metric": "auroc", **changes})


def stands(values, **changes):
  best, waiting = standing(section(**changes), evaluations(*values))
  return best.step, waiting


def test_the_best_is_the_first_of_equals_and_improvements_end_the_waiting():
  assert stands([0.5]) == (10, 0)
  assert stands([0.5, 0.6, 0.6, 0.4]) == (20, 2)
  assert stands([0.5, 0.6, 0.6, 0.7]) == (40, 0)


def test_small_improvements_count_once_they_add_up():
  assert stands([0.5, 0.54, 0.58], min_improvement=0.05) == (30, 0)
  assert stands([0.5, 0.54, 0.58, 0.6], min_improvement=0.05) == (40, 1)


def test_less_is_better_where_the_metric_says_so_or_the_configuration():
  assert stands([0.5, 0.4, 0.6], metric="log_loss") == (20, 1)
  assert stands([0.5, 0.4, 0.6], direction="minimize") == (20, 1)


@given(
  st.lists(st.floats(0, 1), min_size=1, max_size=12),
  st.floats(0, 0.5),
  st.sampled_from(["auroc", "log_loss"]),
)
def test_standing_of_any_values(values, min_improvement, metric):
  step, waiting = stands(values, min_improvement=min_improvement, metric=metric)
  best = max(values) if metric == "auroc" else min(values)
  assert step == 10 * (1 + values.index(best))
  # After the last improvement nothing is better than it by more than that.
  last = values[len(values) - 1 - waiting]
  gains = [value - last if metric == "auroc" else last - value for value in values[-waiting:]]
  assert not waiting or all(gain <= min_improvement for gain in gains)
  assert waiting < len(values)


def config(**changes):
  mapping = example_config.content()
  mapping["validation_data"] = {"choose": mapping["train_data"]}
  early = {"partition": "choose", "metric": "auroc", "patience": 2, **changes}
  mapping["training"].update(early_stopping=early, num_train_steps=100)
  return example_config.parse(mapping)


def record(*values, **changes):
  objective = plain_objective(section(**changes))
  return EarlyStoppingRecord(
    objective=objective, data="d", best_step=10, evaluations=evaluations(*values)
  )


def test_a_record_is_read_as_it_was_written(tmp_path):
  assert read_record(str(tmp_path)) is None
  written = record(0.1 + 0.2, 1 / 3, 5e-324)
  write_record(str(tmp_path), written)
  assert read_record(str(tmp_path)) == written
  assert type(written.objective) is Objective


@pytest.mark.parametrize(
  "values, changes, wanted",
  [
    ((0.5, 0.4, 0.3), {}, 30),
    ((0.5, 0.4), {}, None),
    ((0.5, 0.4, 0.3), {"patience": 3}, None),
    ((0.5, 0.4, 0.3), {"metric": "log_loss"}, None),
    # Not before the last step.
    ((0.5,) * 10, {}, None),
  ],
)
def test_the_step_at_which_a_run_has_stopped(tmp_path, values, changes, wanted):
  assert stopping_step(config(), str(tmp_path)) is None
  write_record(str(tmp_path), record(*values))
  assert stopping_step(config(**changes), str(tmp_path)) == wanted
  assert stopping_step(example_config.build_config(), str(tmp_path)) is None


@pytest.mark.parametrize(
  "content",
  ["", "{", "[]", "{}", '{"format_version": 2}', '{"evaluations": [{"step": -1}]}'],
)
def test_a_damaged_record_is_named(tmp_path, content):
  (tmp_path / "early_stopping.json").write_text(content)
  with pytest.raises(CheckpointError, match="early_stopping.json: cannot be used: it is not as it"):
    read_record(str(tmp_path))


def test_a_record_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(StorageError, match=f"{record_path(str(tmp_path / 'file'))}: what early"):
    write_record(str(tmp_path / "file"), record(0.5))
