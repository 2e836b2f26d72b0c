"""The page at / with what it has to be told: the served models and what their score is made of."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import tensorflow as tf

from heavy_ranker.serving.exporter import SCORE_FILE

BAZEL_DATA = ["//heavy_ranker/serving/server/page:all"]

PAGE = Path(__file__).parent / "page" / "index.html"
_CONFIG = '<script type="application/json" id="config">{}</script>'


def page_content(models: Sequence[str], score: Optional[dict[str, Any]] = None) -> bytes:
  """Returns the page in UTF-8.

  Args:
    models: names of the served models, the first of which is shown unless the address has ?model=.
    score: what `read_score` found for the model to be shown; with None the page starts with the
      published weights and says so.

  Raises:
    OSError: the page cannot be read.
  """
  config: dict[str, Any] = {"models": list(models)}
  if score is not None:
    config["score"] = score
  # Without "<" nothing in a name can end the element.
  text = json.dumps(config).replace("<", "\\u003c")
  return PAGE.read_text(encoding="utf-8").replace(_CONFIG, _CONFIG.replace("{}", text)).encode()


def read_score(version_folder: str) -> Optional[dict[str, Any]]:
  """Returns the recipe of the score that an export carries along, None if it has none to be read.

  Args:
    version_folder: folder of the SavedModel; one from elsewhere has no such file, no error.
  """
  try:
    with tf.io.gfile.GFile(os.path.join(version_folder, SCORE_FILE), "rb") as file:
      score = json.loads(file.read())
  except (tf.errors.OpError, ValueError, RecursionError):
    return None
  return score if isinstance(score, dict) else None
