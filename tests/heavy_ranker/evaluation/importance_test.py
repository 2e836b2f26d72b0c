"""Importance of features to a small ranker whose labels depend on three columns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from heavy_ranker import calibrate, evaluate, load_config, train
from heavy_ranker.evaluation.importance import (
  ImportanceOptions,
  importance_places,
  measure_importance,
)
from heavy_ranker.evaluation.importance_table import format_importance
from heavy_ranker.evaluation.results_file import importance_path
from tests.heavy_ranker.evaluation.page_parser import Page
from tests.heavy_ranker.small_run import TASKS, small_content, write_records
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import CheckpointError, ConfigError

GROUPS = {
  "informative": {"input": "continuous", "columns": "0-2", "names": ["a", "b", "c"]},
  "other": [{"input": "continuous", "columns": "3-8"}, {"input": "binary"}],
}
_STEPS = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("importance")
  content = small_content(path)
  write_records(path / "data", num_examples=3000)
  content["training"].update(num_train_steps=_STEPS, checkpoint_every_n=_STEPS)
  content["train_data"]["global_batch_size"] = 128  # The partition's, too: one section.
  (path / "config.yaml").write_text(yaml.safe_dump(content))
  (path / "groups.yaml").write_text(yaml.safe_dump(GROUPS))
  train(config_of(path))
  return path


def config_of(folder, *overrides):
  return load_config(folder / "config.yaml", overrides)


def measure(folder, *overrides, **options):
  values = {"groups": str(folder / "groups.yaml"), "repeats": 2, **options}
  return measure_importance(config_of(folder, *overrides), ImportanceOptions(**values))


def by_name(entries, task):
  return {entry["name"]: entry["drop"][task] for entry in entries}


def test_informative_columns_matter_and_others_do_not(folder, capsys):
  result = measure(folder, single_features="all", metric="auroc")
  assert "passes over 3000 examples, about" in capsys.readouterr().out
  inputs = {"continuous": 7, "binary": 5, "user_embedding": 4, "author_embedding": 4}
  assert len(result["features"]) == sum(inputs.values())
  for place, task in enumerate(TASKS):
    groups, singles = by_name(result["groups"], task), by_name(result["features"], task)
    assert groups["informative"] > 0.2
    assert abs(groups["other"]) < 0.05
    assert singles["abc"[place]] == max(singles.values())
    assert max(abs(drop) for name, drop in singles.items() if name not in "abc") < 0.05
  assert any("other: 2 of its 11 columns are left out" in note for note in result["notes"])
  assert any("columns of user_embedding are in no group" in note for note in result["notes"])
  shown = format_importance(result)
  assert shown.index("informative") < shown.index("other")


def test_without_a_file_the_inputs_are_the_groups(folder):
  result = measure(folder, groups=None, max_examples=500, metric="log_loss")
  assert [entry["name"] for entry in result["groups"]] == [
    "continuous",
    "binary",
    "user_embedding",
    "author_embedding",
  ]
  assert result["examples"] == 500
  assert result["features"] == []
  assert any("the first 500 examples" in note for note in result["notes"])
  drops = by_name(result["groups"], TASKS[0])
  assert drops["continuous"] == max(drops.values()) > 0


def test_the_baseline_is_what_the_evaluation_of_the_calibrated_model_finds(folder, monkeypatch):
  leave_report_out(monkeypatch)
  config = config_of(folder)
  before = measure(folder)["baseline"]
  calibrate(config)
  result = measure(folder)
  assert result["baseline"] != before
  expected = evaluate(config)["validation"]
  for task in TASKS:
    value = expected[task]["relative_cross_entropy"]
    assert result["baseline"][task] == pytest.approx(value, rel=1e-4)


def test_it_lies_beside_the_evaluations_and_is_in_the_report(folder):
  config = config_of(folder)
  result = measure(folder, single_features="informative", max_examples=200)
  path = Path(importance_path(str(folder / "run"), _STEPS))
  stored = json.loads(path.read_text())
  assert (stored["step"], stored["metric"]) == (_STEPS, "relative_cross_entropy")
  assert [entry["name"] for entry in stored["features"]] == ["a", "b", "c"]
  evaluate(config)
  assert json.loads(path.read_text()) == stored
  text = importance_places(config, result)
  page = Page((folder / "run" / "evaluation" / "report.html").read_text())
  assert "Features" in page.text["h2"] and "report.html" in text
  tables = [table for table in page.tables if table[0][0] == "permuted"]
  assert [row[0] for row in tables[0][1:]] == [
    "the metric with all features",
    "informative",
    "other",
  ]
  assert tables[0][0][1] == "columns" and tables[1][0][1] == "mean drop"


def test_without_an_evaluation_the_way_to_a_report_is_told(folder, tmp_path):
  config = config_of(folder, f"training.save_dir={tmp_path}")
  text = importance_places(config, {"step": 3})
  assert "importance-3.json" in text and "heavy_ranker.evaluate with the same flags" in text


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"partition": "test"}, "--partition: found 'test'; allowed: one of validation"),
    ({"single_features": "informativ"}, "did you mean 'informative'.; allowed: all, none, or one"),
    ({"groups": "/nowhere.yaml"}, "nowhere.yaml: the configuration file cannot be read"),
  ],
)
def test_mistakes_are_named(folder, changes, message):
  with pytest.raises(ConfigError, match=message):
    measure(folder, **changes)


def test_there_has_to_be_a_partition(folder):
  with pytest.raises(ConfigError, match="validation_data: found no partition"):
    measure(folder, "validation_data=null")
  inputs = folder / "data" / "*.gz"
  two = config_of(folder).validation_data["validation"].model_dump(exclude_none=True)
  with pytest.raises(ConfigError, match="--partition: found none, allowed: one of validation, two"):
    measure(folder, f"validation_data.two={json.dumps({**two, 'inputs': str(inputs)})}")


def test_a_checkpoint_that_does_not_exist_is_named(folder):
  with pytest.raises(CheckpointError, match="step-7: no checkpoint"):
    measure(folder, checkpoint=str(folder / "run" / "checkpoints" / "step-7"))


def test_the_command_refuses_what_it_cannot_use_before_anything_is_loaded(folder):
  for flag in ("--metric=accuracy", "--max_examples=1", "--repeats=0"):
    command = [sys.executable, "-m", "heavy_ranker.importance"]
    command += [f"--config_path={folder / 'config.yaml'}", flag]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert flag[2:].partition("=")[0] in result.stderr
