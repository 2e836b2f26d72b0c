"""Tests of `heavy_ranker.serving.export_origin`: the same is exported once, another thing again."""

import os

import pytest

from heavy_ranker.full_run import train_evaluate_export
from tests.heavy_ranker.small_run import TASKS, small_config
from tests.heavy_ranker.without_report import leave_report_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A run that is trained, evaluated and exported."""
  path = tmp_path_factory.mktemp("origin")
  with pytest.MonkeyPatch.context() as monkeypatch:
    leave_report_out(monkeypatch)
    assert _run(path).endswith("/exports/1")
  return path


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
  leave_report_out(monkeypatch)


def _run(folder, *overrides):
  config = small_config(folder, "evaluation.bootstrap_samples=0", *overrides)
  return train_evaluate_export(config, export_dir=str(folder / "exports"))


def test_a_run_that_starts_again_exports_nothing_new(folder, capsys):
  (folder / "exports" / "2").mkdir()  # Of another program.
  assert _run(folder).endswith("/exports/1")
  assert "nothing new to export" in capsys.readouterr().out
  (folder / "exports" / "2").rmdir()
  assert os.listdir(folder / "exports") == ["1"]


def test_another_score_or_checkpoint_is_another_export(folder):
  assert _run(folder, f'score.weights."{TASKS[0]}"=2').endswith("/exports/2")
  assert _run(folder, "training.num_train_steps=8").endswith("/exports/3")
