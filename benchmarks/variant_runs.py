"""Trains variants one after the other and prints their table."""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from benchmarks import json_file
from benchmarks.ablation_table import format_variants
from benchmarks.candidates import Candidate
from benchmarks.comparison import measured, writable


def run_variants(
  variants: Mapping[str, Sequence[Candidate]],
  tasks: Sequence[str],
  output_path: Optional[str] = None,
  fresh: bool = False,
) -> dict[str, list[dict[str, Any]]]:
  """Trains and measures what is not measured yet, and prints the table.

  Args:
    variants: name -> a candidate a seed.
    tasks: the columns of the table.
    output_path: a JSON file for what is returned.
    fresh: trains all of them again.

  Returns:
    What `benchmarks.measurement.measure` returns for each seed, by name.

  Raises:
    UserError: the data or a folder cannot be used.
    SystemExit: a training process failed; it has said why. Its exit code.
  """
  output = writable(output_path) if output_path is not None else None
  rows: dict[str, list[dict[str, Any]]] = {}
  for name, candidates in variants.items():
    for candidate in candidates:
      print(f"\n{candidate.name}", flush=True)
      rows.setdefault(name, []).append(measured(candidate, fresh))
    print(f"\n{format_variants(rows, tasks)}", flush=True)
    if output is not None:
      json_file.write(output, rows)
  if output is not None:
    print(f"\nall metrics: {output}")
  return rows
