"""Tests of `heavy_ranker.evaluation.table`."""

import math

from heavy_ranker.evaluation.table import format_result


def result(**changes):
  task = {
    "metrics": {"auroc": 0.75, "grouped_auc": math.nan, "relative_cross_entropy": 12.345},
    "confidence": {"auroc": [0.7, 0.76]},
  }
  partition = {
    "examples": 1000,
    "users": 50,
    "complete": True,
    "exact": True,
    "notes": [],
    "ranking": {"ndcg@10": 0.5, "map@10": math.nan},
    "ranking_confidence": {"ndcg@10": [0.48, 0.52]},
    "tasks": {"recap.engagement.is_replied": task},
  }
  return {"partitions": {"validation": {**partition, **changes}}}


def test_a_row_a_task_with_half_the_interval():
  lines = format_result(result()).splitlines()
  assert lines[0] == "validation: 1000 examples of 50 users, ndcg@10 0.5000 ± 0.0200"
  assert lines[2].split() == ["task", "RCE", "%", "AUROC", "GAUC"]
  assert lines[4].split() == ["is_replied", "12.35", "0.7500", "±", "0.0300", "-"]


def test_what_is_not_exact_or_left_out_is_told():
  text = format_result(result(exact=False, complete=False, notes=["half of it"]))
  assert "of about 50 users (training.num_eval_steps ends it early)" in text
  assert text.endswith("\nnote: half of it")


def test_without_users_there_is_no_column_of_theirs():
  text = format_result(result(users=None, ranking={}))
  assert "GAUC" not in text
  assert text.startswith("validation: 1000 examples\n")


def test_scenarios_tell_what_they_change():
  scenario = {
    "name": "more replies",
    "metrics": {
      "ndcg@10": 0.51,
      "ndcg_change@10": 0.01,
      "kendall_tau": math.nan,
      "top_1_changed": 0.25,
      "overlap@10": 0.875,
    },
    "confidence": {"ndcg_change@10": [0.004, 0.016]},
    "top_tasks": {
      name: {"predicted_before": 0.1, "predicted": 0.1 * (1 + change)}
      for name, change in (("a.reply", 0.5), ("a.like", -0.02), ("a.click", -0.2), ("b", 0.03))
    },
  }
  content = {"reason": None, "cutoff": 10, "scenarios": [scenario]}
  row = format_result(result(what_if=content)).splitlines()[-1]
  assert row.split("  ")[0] == "more replies"
  shown = " ".join(row.split()[2:])
  assert shown == "+0.0100 ± 0.0060 - 25.0% 87.5% reply +50.0%, click -20.0%, b +3.0%"
  text = format_result(result(what_if={**content, "reason": "no users"}))
  assert text.endswith("\nwhat if: no users")
