"""Trains and measures architectures one after the other, and holds them against the teacher."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Optional

from benchmarks import json_file, measurement, planted_data
from benchmarks.candidates import PARTITION, Candidate, command_flags
from benchmarks.comparison_table import format_comparison, mean_auroc
from benchmarks.teacher import evaluate_teacher
from tfrecords import paths
from tfrecords.errors import StorageError

TEACHER = "teacher (best possible)"


def compare(
  candidates: Sequence[Candidate], output_path: Optional[str] = None, fresh: bool = False
) -> dict[str, dict[str, Any]]:
  """Compares architectures on the same planted data, and prints the table.

  Each is trained in a process of its own, none beside another, so that speeds can be compared.
  One that is trained and measured already, with the same configuration, is not trained again.

  Args:
    candidates: at least one; `benchmarks.candidates.find` makes sure that they are comparable.
    output_path: a JSON file for what is returned.
    fresh: trains all of them again.

  Returns:
    What `benchmarks.measurement.measure` returns, by name of the architecture; and the teacher's
    `metrics`, if the validation records carry its probabilities.

  Raises:
    UserError: the data or a folder cannot be used.
    SystemExit: one of the processes failed; it has said why. Its exit code.
  """
  output = writable(output_path) if output_path is not None else None
  config = candidates[0].config
  planted_data.write_missing(config, PARTITION)
  rows: dict[str, dict[str, Any]] = {}
  for number, candidate in enumerate(candidates, 1):
    print(f"\n[{number} of {len(candidates)}] {candidate.name}", flush=True)
    rows[candidate.name] = measured(candidate, fresh)
    print(_describe(rows[candidate.name]), flush=True)
  key = f"validation_data.{PARTITION}"
  teacher = evaluate_teacher(config.validation_data[PARTITION], list(config.model.tasks), key)
  if teacher is not None:
    rows[TEACHER] = {"metrics": teacher}
  print(f"\n{format_comparison(rows)}", flush=True)
  if teacher is None:
    print(
      f"\n(no row for the teacher: {key} was written without its probabilities, see "
      "--write_probabilities of //tfrecords:generate)"
    )
  if output is not None:
    json_file.write(output, rows)
    print(f"\nall metrics: {output}")
  return rows


def measured(candidate: Candidate, fresh: bool) -> dict[str, Any]:
  """Returns the result there is already, or that of a process of its own.

  Args:
    candidate: what to train and measure.
    fresh: trains it again.

  Raises:
    SystemExit: the process failed; it has said why.
  """
  save_dir = paths.resolve(candidate.config.training.save_dir, "training.save_dir")
  known = measurement.read(save_dir)
  is_same = known.get("configuration") == measurement.configuration(candidate.config)
  if is_same and "result" in known and not fresh:
    print(f"measured already: {measurement.path_in(save_dir)} (again with --fresh)")
    return known["result"]
  if fresh:
    measurement.start_over(save_dir)
  command = [sys.executable, "-m", measurement.__name__, *command_flags(candidate)]
  done = subprocess.run(
    command, env={**os.environ, "PYTHONPATH": paths.package_root()}, check=False
  )
  if done.returncode:
    sys.exit(done.returncode if done.returncode > 0 else 1)
  return measurement.read(save_dir)["result"]


def _describe(row: dict[str, Any]) -> str:
  speed = row["examples_per_second"]
  return (
    f"{row['parameters']:,} parameters, {row['steps']:,} steps"
    f"{f' ({speed:,.0f} examples/s)' if speed else ''}, mean AUROC {mean_auroc(row['metrics']):.4f}"
  )


def writable(output_path: str) -> str:
  """Returns the path of a file that can be written, and exists from now on.

  Raises:
    StorageError: it cannot.
  """
  path = paths.resolve(output_path, "--output_path")
  if os.path.isdir(path):
    raise StorageError(f"--output_path: {path} is a folder, allowed: the name of a JSON file")
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8"):
      pass
  except OSError as error:
    raise StorageError(f"--output_path: {path} cannot be written: {error.strerror}") from None
  return path
