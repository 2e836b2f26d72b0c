"""Where exports lie, and what lies in one besides the SavedModel."""

import os

from tfrecords import paths

DEFAULT_EXPORT_DIR = os.path.join("saved_models", "heavy_ranker")
# TensorFlow Serving leaves this folder of an export alone.
_EXTRA_ASSETS = "assets.extra"
SCORE_FILE = os.path.join(_EXTRA_ASSETS, "score.json")
# Only in exports of another precision than float32.
PRECISION_FILE = os.path.join(_EXTRA_ASSETS, "precision.json")

# What the version was made of; see `heavy_ranker.serving.export_origin`.
ORIGIN_FILE = os.path.join(_EXTRA_ASSETS, "origin.json")


def default_export_dir() -> str:
  """Returns the folder of the versions when none is named: that of the checkout."""
  return os.path.join(paths.workspace_directory(), DEFAULT_EXPORT_DIR)
