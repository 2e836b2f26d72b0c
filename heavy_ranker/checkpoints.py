"""Checkpoints as others see them: where they lie, whether they fit, and their weights.

Weights are stored by the readable names of the variables, so that a checkpoint outlives a change
in how the model is put together. Writing them is the business of
`heavy_ranker.training.checkpoint_manager`.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.checkpoint_manifest import MANIFEST_SUFFIX, damage
from tfrecords import paths
from tfrecords.errors import CheckpointError, reason

CHECKPOINT_NAME = "step"
_FOLDER = "checkpoints"
_INDEX_FILE = re.compile(rf"{CHECKPOINT_NAME}-(\d+)\.index")
_INDEX_OR_MANIFEST = re.compile(rf"{CHECKPOINT_NAME}-(\d+)(?:\.index|{re.escape(MANIFEST_SUFFIX)})")
# Training may delete checkpoints while others look for one.
_LOOKS = 10
VARIABLE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_NUMBERED_BY_KERAS = re.compile(r"(?P<parent>.*/cross_\d+)/(?P<layer>dense(_\d+)?)/(?P<rest>.*)")
_MOST_DIFFERENCES_SHOWN = 20


def checkpoint_folder(save_dir: str) -> str:
  """Returns where a run's checkpoints lie."""
  return os.path.join(save_dir, _FOLDER)


def latest_checkpoint(save_dir: str) -> Optional[str]:
  """Returns a run's checkpoint of the most steps, whole or damaged, or None.

  What counts is the files that are there; `intact_checkpoint` looks into them.
  """
  found = checkpoints_of(save_dir)
  return found[-1] if found else None


def checkpoints_of(save_dir: str) -> list[str]:
  """Returns a run's checkpoints in the order of their steps."""
  return _found(save_dir, _INDEX_FILE)


def _found(save_dir: str, pattern: "re.Pattern[str]") -> list[str]:
  folder = checkpoint_folder(save_dir)
  names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
  steps = {int(match.group(1)) for match in map(pattern.fullmatch, names) if match}
  return [os.path.join(folder, f"{CHECKPOINT_NAME}-{step}") for step in sorted(steps)]


def intact_checkpoint(save_dir: str) -> Optional[str]:
  """Returns a run's newest checkpoint whose files are as they were written, or None without any.

  Warns of newer ones that are damaged, with the file and what is wrong with it.

  Raises:
    CheckpointError: all of them are damaged.
  """
  for _ in range(_LOOKS):
    damaged: dict[str, str] = {}
    chosen = None
    for path in reversed(_found(save_dir, _INDEX_OR_MANIFEST)):
      wrong = damage(path)
      if wrong is None:
        chosen = path
        break
      if _is_there(path):
        damaged[path] = wrong
    if chosen is not None or damaged or latest_checkpoint(save_dir) is None:
      break
  if chosen is None and damaged:
    raise CheckpointError(
      f"{checkpoint_folder(save_dir)}: every checkpoint is damaged: {_listed(damaged)}. Put back "
      "the files from a copy, or start over with --fresh"
    )
  if damaged:
    print(
      f"warning: damaged checkpoint: {_listed(damaged)}. Using {chosen}, the newest that is whole; "
      "training replaces the damaged files as it goes on from there",
      file=sys.stderr,
      flush=True,
    )
  return chosen


def damaged_checkpoints(save_dir: str, after: str) -> list[str]:
  """Returns the checkpoints, or what is left of them, behind one: `intact_checkpoint` left them."""
  step = step_of(after)
  return [path for path in _found(save_dir, _INDEX_OR_MANIFEST) if step_of(path) > step]


def _is_there(checkpoint: str) -> bool:
  """Tells deletion, which takes index and manifest first, from damage."""
  suffixes = (".index", MANIFEST_SUFFIX)
  return any(tf.io.gfile.exists(f"{checkpoint}{suffix}") for suffix in suffixes)


def _listed(damaged: dict[str, str]) -> str:
  return "; ".join(f"{path}: {wrong}" for path, wrong in damaged.items())


def require_checkpoint(save_dir: str, checkpoint: Optional[str] = None) -> str:
  """Returns the given checkpoint, else a run's newest one that is not damaged.

  Raises:
    CheckpointError: there is none, or the given one is damaged.
  """
  if checkpoint is None:
    path = intact_checkpoint(save_dir)
  else:
    path = paths.resolve(checkpoint, "--checkpoint").removesuffix(".index")
  if path is None:
    raise CheckpointError(
      f"{checkpoint_folder(save_dir)}: no checkpoint found. Train first with //heavy_ranker:train, "
      "or name another run with --set training.save_dir=FOLDER"
    )
  if checkpoint is not None:
    require_intact(path)
  return path


def require_intact(checkpoint: str) -> None:
  """Checks a checkpoint that was asked for by name.

  Raises:
    CheckpointError: there is no such checkpoint, or it is damaged; says which file and how.
  """
  if not _is_there(checkpoint):
    raise CheckpointError(
      f"{checkpoint}: no checkpoint: {checkpoint}.index does not exist. Checkpoints are named "
      f"FOLDER/{_FOLDER}/{CHECKPOINT_NAME}-N"
    )
  wrong = damage(checkpoint)
  if wrong is not None:
    raise CheckpointError(
      f"{checkpoint}: the checkpoint is damaged: {wrong}. Name another one, or none for the run's "
      "newest that is whole"
    )


def step_of(checkpoint: str) -> int:
  """Returns the number of updates behind a checkpoint.

  Raises:
    CheckpointError: its name does not say.
  """
  step = checkpoint.rsplit("-", 1)[-1]
  if not step.isdecimal():
    raise CheckpointError(
      f"{checkpoint}: the name does not end in the number of steps, as {CHECKPOINT_NAME}-N does"
    )
  return int(step)


def weights_by_name(ranker: keras.Model) -> dict[str, tf.Variable]:
  """Returns every variable of the ranker by its readable name, the key in the checkpoint."""
  numbered: dict[str, list[str]] = {}
  weights = {_stable_name(variable, numbered): variable for variable in ranker.variables}
  if len(weights) != len(ranker.variables):
    raise ValueError("two variables of the model share one name")
  return weights


def _stable_name(variable: tf.Variable, numbered: dict[str, list[str]]) -> str:
  """Returns a variable's name with the dense layers of a cross layer numbered from 0.

  tensorflow-recommenders leaves their names to Keras, whose count runs over the whole process.
  """
  name = variable.name.split(":")[0]
  match = _NUMBERED_BY_KERAS.fullmatch(name)
  if not match:
    return name
  layers = numbered.setdefault(match["parent"], [])
  if match["layer"] not in layers:
    layers.append(match["layer"])
  return f"{match['parent']}/dense_{layers.index(match['layer'])}/{match['rest']}"


def restore_weights(ranker: keras.Model, checkpoint: str) -> None:
  """Assigns a checkpoint's weights to a ranker.

  Raises:
    CheckpointError: the checkpoint is of another architecture; says what differs.
  """
  require_same_architecture(ranker, checkpoint)
  tracked = tf.train.Checkpoint(weights=weights_by_name(ranker))
  with reading(checkpoint):
    tracked.read(checkpoint).expect_partial().assert_existing_objects_matched()


def stored_shapes(checkpoint: str, section: str = "weights") -> dict[str, tuple[int, ...]]:
  """Returns the shape of each variable in a section of a checkpoint, by the variable's name."""
  prefix = f"{section}/"
  return {
    _unescape(name[len(prefix) : -len(VARIABLE_SUFFIX)]): tuple(shape)
    for name, shape in tf.train.list_variables(checkpoint)
    if name.startswith(prefix) and "/.OPTIMIZER_SLOT/" not in name
  }


def require_same_architecture(ranker: keras.Model, checkpoint: str) -> None:
  """Compares names and shapes of a checkpoint's weights with a ranker's.

  Raises:
    CheckpointError: lists what only one of them has, and what differs in shape.
  """
  with reading(checkpoint):
    stored = stored_shapes(checkpoint)
  wanted = {name: tuple(weight.shape) for name, weight in weights_by_name(ranker).items()}
  differences = [
    f"only in the checkpoint: {name} {stored[name]}" for name in stored.keys() - wanted
  ]
  differences += [f"only in the model: {name} {wanted[name]}" for name in wanted.keys() - stored]
  differences += [
    f"{name}: checkpoint {stored[name]}, model {wanted[name]}"
    for name in stored.keys() & wanted.keys()
    if stored[name] != wanted[name]
  ]
  if not differences:
    return
  shown = sorted(differences)[:_MOST_DIFFERENCES_SHOWN]
  more = len(differences) - len(shown)
  raise CheckpointError(
    f"{checkpoint}: the checkpoint is of another architecture than the configuration:\n  "
    + "\n  ".join([*shown, *([f"... and {more} more"] if more else [])])
    + "\nUse the configuration it was trained with, another training.save_dir, or --fresh"
  )


def _unescape(key: str) -> str:
  # TensorFlow writes "/" inside a key as ".S" and a dot as "..".
  return re.sub(r"\.[.S]", lambda match: "." if match[0] == ".." else "/", key)


@contextmanager
def reading(checkpoint: str) -> Iterator[None]:
  """A context that turns what TensorFlow says of a damaged checkpoint into a CheckpointError."""
  try:
    yield
  except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
    raise CheckpointError(
      f"{checkpoint}: the checkpoint cannot be restored: {reason(error)}. Remove its files (the "
      "one before is then used), or start over with --fresh"
    ) from None
