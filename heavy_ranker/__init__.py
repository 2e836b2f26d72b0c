"""The heavy ranker of the "For You" timeline on TensorFlow and Keras: the public API.

Importing the package is cheap: each name below loads what it needs on first use. The commands
(`heavy_ranker.train` as a module, for one) are run, not imported.
"""

import importlib
from typing import Any

import tfrecords  # noqa: F401 - settles TensorFlow's environment before TensorFlow is imported.

_HOME_OF = {
  "HeavyRankerConfig": "heavy_ranker.config",
  "load_config": "heavy_ranker.config",
  "build_model": "heavy_ranker.model",
  "load_reference_weights": "heavy_ranker.reference_weights",
  "make_dataset": "tfrecords.input_pipeline",
  "train": "heavy_ranker.training.trainer",
  "evaluate": "heavy_ranker.evaluation.evaluator",
  "calibrate": "heavy_ranker.calibration.calibrator",
  "export": "heavy_ranker.serving.exporter",
  "Client": "heavy_ranker.serving.client",
}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
  if name not in _HOME_OF:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
