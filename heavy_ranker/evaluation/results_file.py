"""`evaluation/step-N.json`: the result of one evaluation; docs/evaluation.md describes it."""

import json
import os
from typing import Any, Optional

import tensorflow as tf

from tfrecords import files, strict_json
from tfrecords.errors import DataError, reason

FORMAT_VERSION = 1


def results_path(save_dir: str, step: int) -> str:
  """Returns where an evaluation's result lies."""
  return os.path.join(save_dir, "evaluation", f"step-{step}.json")


def importance_path(save_dir: str, step: int) -> str:
  """Returns where the importance of the features lies: apart, so that either can be made anew."""
  return os.path.join(save_dir, "evaluation", f"importance-{step}.json")


def write_result(result: dict[str, Any], path: str) -> None:
  """Writes a result in one step; what is not finite, which JSON lacks, becomes null.

  Raises:
    StorageError: it cannot be written.
  """
  way_out = "Free space there, or make it writable, and evaluate again"
  files.write(path, strict_json.text_of(result), way_out, makes_folder=True)


def read_result(path: str) -> dict[str, Any]:
  """Returns a result as it was written.

  Raises:
    DataError: it cannot be read, or is of another format.
  """
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      content = json.loads(file.read())
  except (tf.errors.OpError, ValueError) as error:
    raise DataError(f"{path}: cannot be read: {reason(error)}; evaluate again") from None
  version: Optional[int] = content.get("format_version") if isinstance(content, dict) else None
  if version != FORMAT_VERSION:
    raise DataError(
      f"{path}: found format_version {version}, allowed: {FORMAT_VERSION}; evaluate again"
    )
  return content
