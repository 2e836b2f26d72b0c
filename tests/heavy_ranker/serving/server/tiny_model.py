"""SavedModels of a few bytes with what a server has to tell apart, written in milliseconds."""

import os
from pathlib import Path

import tensorflow as tf


class TinyModel(tf.Module):
  """Multiplies by a factor, which tells versions apart."""

  def __init__(self, factor: float):
    super().__init__()
    self.factor = tf.Variable(factor, dtype=tf.float32)

  @tf.function
  def scale(self, x, ids):
    return {"y": x * self.factor, "ids": ids, "sum": tf.reduce_sum(x, axis=1) * self.factor}

  @tf.function
  def parse(self, examples):
    parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})
    return {"y": parsed["x"] * self.factor}

  @tf.function(
    input_signature=[
      tf.TensorSpec([1, 3], tf.float32, "user"),
      tf.TensorSpec([None, 3], tf.float32, "x"),
      tf.TensorSpec([], tf.float32, "bonus"),
    ]
  )
  def rank(self, user, x, bonus=tf.constant(0.5)):  # noqa: B008 - the signature's default.
    """Not to be batched: the user has one row for all examples."""
    return {"y": tf.reduce_sum(x * user, axis=1) * self.factor + bonus}


def write_version(base: Path, version: int, factor: float = 2.0) -> Path:
  """Writes a version the way exports are written, whole or not at all."""
  model = TinyModel(factor)
  x = tf.TensorSpec([None, 3], tf.float32, "x")
  signatures = {
    "serving_default": model.scale.get_concrete_function(x, tf.TensorSpec([None], tf.int64, "ids")),
    "parse": model.parse.get_concrete_function(tf.TensorSpec([None], tf.string, "examples")),
    "rank": model.rank,
  }
  unfinished = base / f".unfinished-{version}"
  tf.saved_model.save(model, str(unfinished), signatures=signatures)
  target = base / str(version)
  os.rename(unfinished, target)
  return target


def write_broken_version(base: Path, version: int) -> Path:
  """Writes a folder that looks like a version and cannot be loaded."""
  folder = base / str(version)
  folder.mkdir(parents=True)
  (folder / "saved_model.pb").write_bytes(b"no SavedModel")
  return folder
