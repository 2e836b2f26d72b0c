"""What the score of an export is made of, as the export itself tells."""

import json
import os
from typing import Any, Optional

import tensorflow as tf

from heavy_ranker.serving.export_files import SCORE_FILE


def read_score_recipe(version_folder: str) -> Optional[dict[str, Any]]:
  """Returns an export's assets.extra/score.json, None if there is none to be read.

  A SavedModel from elsewhere has no such file. That is no error: only the page asks for it, and
  starts with the published weights.

  Args:
    version_folder: folder of the SavedModel.
  """
  try:
    with tf.io.gfile.GFile(os.path.join(version_folder, SCORE_FILE), "rb") as file:
      # What JSON has no words for becomes null, so that a browser can read it again.
      recipe = json.loads(file.read(), parse_constant=lambda _: None)
  except (tf.errors.OpError, ValueError, RecursionError):
    return None
  return recipe if isinstance(recipe, dict) else None
