"""The evaluation report: one HTML file about a run's newest evaluation and the way to it."""

import os
from collections.abc import Sequence
from typing import Optional

from heavy_ranker.evaluation import report_figures, report_sensitivity, report_tables
from heavy_ranker.evaluation.report_data import Evaluation, Evaluations, read_evaluations
from heavy_ranker.evaluation.report_html import Names, breakable, escape, shortened
from heavy_ranker.evaluation.report_page import Section, page
from tfrecords import files


def report_path(save_dir: str) -> str:
  """Returns where a run's report lies."""
  return os.path.join(save_dir, "evaluation", "report.html")


def write_report(save_dir: str, step: Optional[int] = None) -> str:
  """Writes `evaluation/report.html` from the evaluations that lie beside it.

  The page depends on the files and the folder's name alone: equal evaluations give equal bytes.

  Args:
    save_dir: the run's folder.
    step: the evaluation to show; None for the newest. The curves over training steps take all.

  Returns:
    The report's path.

  Raises:
    DataError: there is no evaluation, or the one to show is damaged.
    StorageError: the report cannot be written.
  """
  evaluations = read_evaluations(save_dir, step)
  run = os.path.basename(save_dir.rstrip("/")) or save_dir
  path = report_path(save_dir)
  # Half a character, which UTF-8 lacks, becomes a question mark.
  page_of_run = _report(evaluations, run).encode("utf-8", "replace")
  files.write(path, page_of_run, "Make room there, or make the folder writable")
  return path


def _report(evaluations: Evaluations, run: str) -> str:
  shown = evaluations.shown
  names = Names([*shown.tasks, *(t for part in shown.partitions.values() for t in part.tasks)])
  sections = [
    Section("summary", "Summary", _summary(shown, names)),
    Section("data", "Data", report_tables.data(shown)),
    Section("ranking", "Ranking by the score", report_tables.ranking(shown)),
    Section("baselines", "Against baselines", _baselines(shown, names)),
    Section("steps", "Over training steps", report_figures.over_steps(evaluations, names)),
    *_partition_sections(shown, names),
    *_sensitivity_sections(evaluations, names),
  ]
  title = f"{shortened(run)}, step {evaluations.step:,}: evaluation"
  return page(title, _header(evaluations), sections)


def _header(evaluations: Evaluations) -> str:
  shown = evaluations.shown
  facts = {
    "checkpoint": breakable(shown.checkpoint) if shown.checkpoint else "",
    "measured in": "" if shown.seconds is None else f"{shown.seconds:,.1f} s",
    "evaluations": f"{len(evaluations.history)} (steps {_steps(list(evaluations.history))})",
    "score": _score(shown),
  }
  rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
  skipped = "".join(f"<li>{escape(sentence)}</li>" for sentence in evaluations.skipped)
  return f"<dl>{rows}</dl>" + (f'<ul class="notes">{skipped}</ul>' if skipped else "")


def _steps(steps: Sequence[int]) -> str:
  return f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"


def _score(evaluation: Evaluation) -> str:
  """The score's definition where it is more than a weighted sum."""
  score = evaluation.score
  names = Names(evaluation.tasks)
  sentences = [
    f"only the largest counts of {', '.join(names.html(task) for task in group)}"
    for group in score.only_largest_of
  ]
  if score.negative_squash_epsilon is not None:
    sentences.append(f"negative scores squashed, epsilon {score.negative_squash_epsilon:g}")
  if not score.weights:
    return ""
  return "; ".join(["weighted sum of the probabilities", *sentences])


def _summary(evaluation: Evaluation, names: Names) -> str:
  if not any(part.tasks for part in evaluation.partitions.values()):
    return "<p>No task was measured.</p>"
  return (
    report_tables.summary(evaluation, names)
    + '<p class="hint">Below a value its confidence interval, by bootstrap. Orange: RCE below 0 '
    "(worse than always predicting the mean), AUROC below 0.5, or PCTR/CTR outside 0.8 to 1.25.</p>"
    "<details><summary>What the columns mean</summary>"
    f"<dl>{report_tables.meanings()}</dl></details>"
  )


def _baselines(evaluation: Evaluation, names: Names) -> str:
  content = report_tables.baselines(evaluation, names)
  if not content:
    return ""
  return (
    f'{content}<p class="hint">Each cell is the baseline, below it the model minus the '
    "baseline, with its confidence interval by bootstrap where it was computed, both measured on "
    "the same resamples: green where the model is better, orange where it is worse, neither where "
    "the interval holds 0.</p>"
  )


def _partition_sections(evaluation: Evaluation, names: Names) -> list[Section]:
  sections = []
  for position, (name, partition) in enumerate(evaluation.partitions.items()):
    anchor = f"partition-{position}"
    tasks, links = report_figures.tasks(partition, names, anchor)
    shares = report_tables.score_shares(partition, evaluation.score.weights, names)
    strata = report_tables.strata(partition, names)
    content = report_figures.scores(partition, anchor)
    if shares:
      content += f"<h3>What the score is made of</h3>{shares}"
    if strata:
      content += "<h3>By stratum</h3>"
      content += "".join(f"<h4>{title}</h4>{part}" for title, part in strata.items())
    sections.append(Section(anchor, f"Partition {shortened(name)}", content + tasks, links))
  return sections


def _sensitivity_sections(evaluations: Evaluations, names: Names) -> list[Section]:
  sections = []
  tables = {}
  if evaluations.importance is not None:
    tables = report_sensitivity.importance(evaluations.importance, names)
  if tables:
    content = "".join(f"<h3>{title}</h3>{part}" for title, part in tables.items())
    about = report_sensitivity.about_importance(evaluations.importance)
    sections.append(Section("importance", "Features", about + content))
  what_if = report_sensitivity.what_if(evaluations.shown, names)
  if what_if:
    sections.append(Section("what-if", "Other weights of the score", what_if))
  return sections
