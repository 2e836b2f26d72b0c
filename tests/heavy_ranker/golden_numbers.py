"""The reference's numbers in tests/golden, whose README says what they are."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from heavy_ranker import load_config

BAZEL_DATA = ["//tests/golden:all"]

FOLDER = Path(__file__).parents[1] / "golden"


class Golden:
  """One set of numbers.

  Args:
    name: the files' name without extension.

  Attributes:
    facts: the JSON file.
    arrays: array by "section/name".
    widths: what `build_model` takes as input_widths.
  """

  def __init__(self, name):
    self._name = name
    self.facts = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / f"{name}.npz") as arrays:
      self.arrays = dict(arrays)
    self.widths = self.facts["shapes"]

  def config(self, *overrides):
    return load_config(FOLDER / f"{self._name}.yaml", overrides)

  def section(self, prefix):
    """The arrays below a section, by what follows "prefix/"."""
    start = len(prefix) + 1
    return {name[start:]: x for name, x in self.arrays.items() if name.startswith(f"{prefix}/")}

  def inputs(self, prefix):
    return {name: tf.cast(self.arrays[f"{prefix}/{name}"], tf.float32) for name in self.widths}

  def batch(self, prefix, tasks):
    """(features, labels by task, weights by task)."""
    labels, weights = (
      {
        task: tf.cast(self.arrays[f"{prefix}/{name}"][:, index], tf.float32)
        for index, task in enumerate(tasks)
      }
      for name in ("labels", "weights")
    )
    return self.inputs(prefix), labels, weights
