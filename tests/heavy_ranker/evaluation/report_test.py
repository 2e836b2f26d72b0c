"""The evaluation report: what it shows, of good files and bad ones."""

import json
import re
from pathlib import Path

import matplotlib
import pytest

from heavy_ranker.evaluation.report import write_report
from tests.heavy_ranker.evaluation.page_parser import Page
from tests.heavy_ranker.evaluation.sample_results import (
  PARTITIONS,
  STEPS,
  TASKS,
  sample,
  write_samples,
)
from tfrecords.errors import DataError, StorageError

BAZEL_SIZE = "large"

_HOSTILE = "<script>alert('x')</script>&\"$x^2$ {0} \ud800" + "a.very_long_name" * 30


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp("report") / "sample_run"
  write_samples(folder)
  return folder


@pytest.fixture(scope="module")
def html(run):
  return Path(write_report(str(run))).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
  return Page(html)


def _write(folder: Path, result: object, step: int = 1, what: str = "step") -> Path:
  path = folder / "evaluation" / f"{what}-{step}.json"
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(result if isinstance(result, str) else json.dumps(result))
  return path


def _report(folder: Path, **arguments: object) -> str:
  return Path(write_report(str(folder), **arguments)).read_text(encoding="utf-8")


def _minimal(**partition: object) -> dict:
  return {"format_version": 1, "partitions": {"validation": partition}}


def test_lies_beside_the_evaluations_and_names_the_run(run, page):
  files = sorted(path.name for path in (run / "evaluation").iterdir())
  written = [f"{what}-{step}.json" for what in ("importance", "step") for step in STEPS]
  assert files == sorted([*written, "report.html"])
  assert page.text["h1"] == "sample_run, step 1,200: evaluation"
  assert "/runs/heavy_ranker/checkpoints/step-1200" in page.text["dl"]


def test_summary_has_every_task_of_every_partition(run, page):
  heading, *rows = page.tables[0]
  assert heading[:4] == ["task", "examples", "positives", "RCE\u00a0%"]
  names = [row[0] for row in rows]
  short = [task.rsplit(".", 1)[-1] for task in TASKS]
  assert names == [PARTITIONS[0], *short, PARTITIONS[1], *short]
  stored = json.loads((run / "evaluation" / f"step-{STEPS[-1]}.json").read_text())
  task = stored["partitions"][PARTITIONS[0]]["tasks"][next(iter(TASKS))]
  low, high = task["confidence"]["auroc"]
  cell = rows[1][heading.index("AUROC")]
  assert cell == f"{task['metrics']['auroc']:.4f}{low:.4f} … {high:.4f}"


def test_full_names_are_tooltips(page):
  assert set(TASKS) <= set(page.values("title"))


def test_a_metric_that_is_null_is_a_dash_with_its_reason(page):
  heading, *rows = page.tables[0]
  row = next(row for row in rows if row[0] == "is_report_tweet_clicked")
  assert row[heading.index("AUROC")] == "–1"
  assert "no example has label 1" in page.values("title")
  assert "no example has label 1" in page.text["ol"]
  assert ">None<" not in page.text["body"] and "nan" not in page.text["table"]


def test_every_part_is_there_and_the_contents_lead_to_it(page):
  titles = ["Summary", "Data", "Ranking by the score", "Against baselines", "Over training steps"]
  titles += [f"Partition {name}" for name in PARTITIONS]
  titles += ["Features", "Other weights of the score"]
  assert page.text["h2"] == "".join(titles)
  identifiers = page.values("id")
  assert len(set(identifiers)) == len(identifiers)
  references = [value for value in page.values("href") if value.startswith("#")]
  assert {reference[1:] for reference in references} <= set(identifiers)
  for title in titles:
    assert title in page.text["nav"]


def test_there_is_a_plot_for_each_curve(page):
  plots = [attributes for tag, attributes in page.tags if attributes.get("class") == "plot"]
  kinds = [plot["aria-label"] for plot in plots]
  # One task has no positive on one partition, so neither ROC nor precision-recall curve.
  per_task = len(TASKS) * len(PARTITIONS)
  assert kinds.count("ROC curve") == kinds.count("Precision-recall curve") == per_task - 1
  assert kinds.count("Predictions of positives and negatives") == per_task
  assert kinds.count("Metric over training steps") == 3 + 2 * len(TASKS)
  assert kinds.count("Distribution of the score") == len(PARTITIONS)


def test_baselines_show_what_the_model_is_better_by(run, page):
  result = json.loads((run / "evaluation" / f"step-{STEPS[-1]}.json").read_text())
  task = result["partitions"][PARTITIONS[0]]["tasks"][next(iter(TASKS))]
  model = task["metrics"]["auroc"]
  teacher = task["baselines"]["teacher"]["auroc"]
  table = next(table for table in page.tables if "teacher: AUROC" in table[0])
  cell = table[2][table[0].index("teacher: AUROC")]
  assert cell == f"{teacher:.4f}{model - teacher:+.4f}".replace("-", "−")
  assert table[2][1] == f"{task['achievable_rce_share']:.1%}"


def test_notes_say_what_was_approximated_or_cut(page):
  assert "AUROC comes from 10,000 bins" in page.text["ul"]
  data = next(table for table in page.tables if "all data read" in table[0])
  assert [row[4:] for row in data[1:]] == [
    ["yes", "yes"],
    ["no: cut short by num_eval_steps", "no: approximate"],
  ]


def test_nothing_is_loaded_from_elsewhere(html, page):
  assert "default-src 'none'" in html
  assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import", html.split("<script>")[0])
  assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "image"})
  assert not page.values("src")
  assert all(value.startswith("#") for value in page.values("href"))


def test_equal_evaluations_give_equal_bytes_and_leave_matplotlib_alone(tmp_path):
  write_samples(tmp_path / "sample_run", steps=STEPS[:2], num_tasks=2)
  settings = dict(matplotlib.rcParams)
  first = _report(tmp_path / "sample_run")
  with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
    assert _report(tmp_path / "sample_run") == first
  assert dict(matplotlib.rcParams) == settings


def test_scenarios_tell_what_they_change(page):
  metrics, tasks = (table for table in page.tables if table[0][0] == "scenario")
  assert metrics[0][1:4] == ["ndcg@10", "change of ndcg@10", "Kendall's tau"]
  half = next(row for row in metrics if row[0] == "replies count half")
  assert half[1:6] == ["0.4560", "−0.0040−0.0050 … −0.0030", "0.9400", "5.0%", "92.0%"]
  assert half[6] == "is_replied 27 → 13.5"
  without_users = metrics[-1]
  assert without_users[1:6] == ["–1"] * 5
  assert "it has no users" in page.text["ol"]
  half = next(row for row in tasks if row[0] == "replies count half")
  assert half[1:3] == ["+20.0%", "−20.0%"]
  # More likes are good, and so is less of what lowers the score.
  kinds = [a["class"] for _, a in page.tags if "20.0%" in str(a) or "heat" in a.get("class", "")]
  assert {"heat gain", "heat loss"} <= set(kinds)
  assert any(title.startswith("predicted 0.06 → 0.072, observed") for title in page.values("title"))


def test_features_show_what_is_lost_without_them(page):
  groups, features = (table for table in page.tables if table[0][0] == "permuted")
  assert groups[0][:4] == ["permuted", "columns", "mean drop", "is_favorited"]
  assert groups[1][:4] == ["the metric with all features", "", "", "0.7500"]
  drops = [float(row[2].replace("−", "-")) for row in groups[2:]]
  assert len(drops) == 4 and drops == sorted(drops, reverse=True)
  assert features[0][:2] == ["permuted", "mean drop"]
  assert len(features) == 52
  rare = groups[0].index("is_report_tweet_clicked")
  assert {row[rare] for row in groups[1:]} == {"–1"}
  assert "How much auroc drops on 8,192 examples of validation" in page.text["p"]
  assert "3 of the 9 columns of binary are in no group" in page.text["ul"]


def test_importance_that_cannot_be_read_is_left_out(tmp_path):
  _write(tmp_path, _minimal())
  _write(tmp_path, "{", what="importance")
  page = Page(_report(tmp_path))
  assert "importance-1.json: is not JSON" in page.text["ul"]
  assert "Measure it again with //heavy_ranker:importance" in page.text["ul"]
  assert "Features" not in page.text["h2"]


def test_importance_of_another_step_is_not_shown(tmp_path):
  write_samples(tmp_path, steps=(1,), num_tasks=1)
  _write(tmp_path, _minimal(), step=2)
  assert "Features" not in Page(_report(tmp_path)).text["h2"]


def test_is_small_enough_to_send(html):
  assert len(html.encode()) < 3_000_000


def test_an_older_step_is_shown_on_request(tmp_path):
  for step in (1, 2):
    _write(tmp_path, _minimal(), step)
  assert "step 1: evaluation" in _report(tmp_path, step=1)


def test_names_cannot_break_out(tmp_path):
  task = sample()["partitions"][PARTITIONS[0]]["tasks"][next(iter(TASKS))]
  task["reasons"] = {"grouped_auc": _HOSTILE}
  task["metrics"]["grouped_auc"] = None
  task["baselines"][_HOSTILE] = {"auroc": 0.5}
  result = {
    "format_version": 1,
    "checkpoint": _HOSTILE,
    "tasks": [_HOSTILE],
    "score": {"weights": {_HOSTILE: 1}, "only_largest_of": [[_HOSTILE]]},
    "partitions": {
      _HOSTILE: {
        "notes": [_HOSTILE],
        "ranking": {_HOSTILE: 0.5},
        "tasks": {_HOSTILE: task},
        "strata": {_HOSTILE: {"examples": 1, "tasks": {_HOSTILE: task}}},
        "what_if": {
          "reason": _HOSTILE,
          "scenarios": [
            {
              "name": _HOSTILE,
              "weights": {_HOSTILE: 2},
              "metrics": {_HOSTILE: 0.5},
              "top_tasks": {_HOSTILE: {"predicted_before": 0.1, "predicted": 0.2}},
            }
          ],
        },
      }
    },
  }
  importance = {
    "format_version": 1,
    "partition": _HOSTILE,
    "metric": _HOSTILE,
    "notes": [_HOSTILE],
    "groups": [{"name": _HOSTILE, "drop": {_HOSTILE: 0.1}}],
  }
  for step in (1, 2):
    _write(tmp_path, result, step)
  _write(tmp_path, importance, 2, "importance")
  html = _report(tmp_path)
  assert "<script>alert" not in html
  page = Page(html)
  assert [tag for tag, _ in page.tags].count("script") == 1
  assert not {name for _, attributes in page.tags for name in attributes} & {"onerror", "onload"}
  assert _HOSTILE.replace("\ud800", "?") in page.values("title")
  assert len(page.tables) == 11


@pytest.mark.parametrize(
  "partition",
  [
    {},
    {"tasks": {}},
    {"tasks": {"a": {}}},
    {"tasks": {"a": None}, "ranking": None, "notes": None, "strata": {"s": None}},
    {"tasks": {"a": {"metrics": {"auroc": None}, "reasons": None, "confidence": {"auroc": None}}}},
    {
      "tasks": {
        "a": {
          "metrics": {"auroc": 0.5, "made_up": 3},
          "confidence": {"auroc": [None, 0.6]},
          "baselines": {"teacher": None, "always_mean": {"auroc": None}},
          "reliability": {"calibrated": [], "uncalibrated": None},
          "roc": {"false_positive_rate": [], "true_positive_rate": []},
          "precision_recall": {"recall": [0, None], "precision": [0, 1]},
          "probability_histogram": {"edges": [0, 0.5, 1], "positives": [0, 0], "negatives": [0, 0]},
          "score_share": {"mean": None, "variance": -0.1},
        }
      },
      "score_histogram": {"edges": [0, 1], "counts": [0]},
    },
    {
      "tasks": {
        "a": {
          "reliability": {"calibrated": [{"predicted": 0.0, "observed": 1.0, "weight": None}]},
          "roc": {"false_positive_rate": [0.5], "true_positive_rate": [0.5]},
          "precision_recall": {"recall": [0.5], "precision": [1.0]},
          "probability_histogram": {"edges": [0, 1], "positives": [0], "negatives": [2]},
        },
        "b": {"reliability": {"calibrated": [{"predicted": 0.0, "observed": 0.0, "weight": 0}]}},
      },
      "score_histogram": {"edges": [5, 5], "counts": [1]},
    },
  ],
)
def test_what_is_missing_or_null_is_left_out(tmp_path, partition):
  _write(tmp_path, _minimal(**partition))
  page = Page(_report(tmp_path))
  assert "Summary" in page.text["h2"]
  assert "None" not in page.text["main"] and "nan" not in page.text["main"]


def test_no_partition_at_all(tmp_path):
  _write(tmp_path, {"format_version": 1, "partitions": {}})
  assert "No task was measured" in Page(_report(tmp_path)).text["p"]


def test_numbers_that_json_lacks_count_as_null(tmp_path):
  _write(
    tmp_path, '{"format_version": 1, "partitions": {"p": {"examples": NaN, "users": Infinity}}}'
  )
  data = next(table for table in Page(_report(tmp_path)).tables if "users" in table[0])
  assert data[1][1:3] == ["–1", "–1"]


def test_one_evaluation_has_no_curves(tmp_path):
  write_samples(tmp_path, steps=(5,), num_tasks=1)
  page = Page(_report(tmp_path))
  assert "Metric over training steps" not in page.values("aria-label")
  assert "curves begin with the second" in page.text["p"]


def test_forty_tasks_of_equal_last_names(tmp_path):
  metrics = {"metrics": {"auroc": 0.7, "relative_cross_entropy": 3.0}}
  tasks = {f"surface_{number}.is_favorited": metrics for number in range(40)}
  for step in (1, 2):
    _write(tmp_path, _minimal(tasks=tasks), step)
  page = Page(_report(tmp_path))
  assert [row[0] for row in page.tables[0][1:]] == list(tasks)


@pytest.mark.parametrize(
  "text, message",
  [
    ("{", "is not JSON"),
    ("", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    ("\ud800".encode("utf-8", "surrogatepass"), "is not JSON"),
    ("[]", "format_version is None, the report reads 1"),
    ('{"validation": {"a": {"auroc": 0.5}}}', "format_version is None, the report reads 1"),
    ('{"format_version": 2, "partitions": {}}', "format_version is 2, the report reads 1"),
    ('{"format_version": 1}', "partitions: Field required"),
    ('{"format_version": 1, "partitions": {"p": 3}}', "partitions.p"),
    ('{"format_version": 1, "partitions": {"p": {"examples": "many"}}}', "partitions.p.examples"),
    ('{"format_version": 1, "partitions": {"p": {"examples": 1%s}}}' % ("0" * 400), "p.examples"),
    (
      json.dumps(_minimal(tasks={"a": {"roc": {"false_positive_rate": [0.1]}}})),
      "validation.tasks.a.roc: .*false_positive_rate has 1, true_positive_rate has 0 entries",
    ),
    (json.dumps(_minimal(users=1e200)), "validation.users: Input should be less than"),
    (
      json.dumps(_minimal(tasks={"a": {"roc": {"false_positive_rate": [1.5]}}})),
      "false_positive_rate.0: Input should be less than or equal to 1",
    ),
    (
      json.dumps(_minimal(score_histogram={"edges": [1, 2], "counts": [1, 2]})),
      "score_histogram: .*edges has 2, counts has 2 entries",
    ),
  ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
  _write(tmp_path, "{}").write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(DataError, match=f"(?s)step-1.json: .*{message}.*remove the file"):
    write_report(str(tmp_path))
  assert not (tmp_path / "evaluation" / "report.html").exists()


def test_a_damaged_older_file_is_left_out_of_the_curves_and_named(tmp_path):
  _write(tmp_path, _minimal(), 3)
  _write(tmp_path, "{", 2)
  page = Page(_report(tmp_path))
  assert "Left out of the curves over training steps: " in page.text["ul"]
  assert "step-2.json: is not JSON" in page.text["ul"]


def test_without_an_evaluation_the_way_out_is_named(tmp_path):
  with pytest.raises(DataError, match="no evaluation found.*Evaluate a checkpoint first"):
    write_report(str(tmp_path))


def test_a_step_that_was_not_evaluated_is_an_error(run):
  with pytest.raises(DataError, match="no evaluation of step 7; there are those of steps 400, 800"):
    write_report(str(run), step=7)


def test_a_report_that_cannot_be_written_is_named(tmp_path):
  _write(tmp_path, _minimal())
  (tmp_path / "evaluation" / "report.html").mkdir()
  with pytest.raises(StorageError, match="report.html: cannot be written: Is a directory"):
    write_report(str(tmp_path))
