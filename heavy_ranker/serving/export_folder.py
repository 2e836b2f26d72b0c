"""Exports as their readers see them: which folder is a version, and whose scores it gives."""

import hashlib
import json
import os
from collections.abc import Iterable

import tensorflow as tf

from heavy_ranker.serving.export_files import SCORE_FILE
from tfrecords import paths
from tfrecords.errors import StorageError, reason

_GRAPH = "saved_model.pb"
# Holds a checksum of every variable's values.
_VARIABLES_INDEX = os.path.join("variables", "variables.index")


def find_version(export_dir: str, key: str = "--export_dir") -> str:
  """Returns the folder of an export: the one given, or the newest version in it.

  Args:
    export_dir: a version's folder, or the folder of the versions.
    key: the flag it comes from, for the messages.

  Raises:
    ConfigError: the path needs an environment variable that is not set.
    StorageError: there is no export.
  """
  folder = paths.resolve(export_dir, key)
  if tf.io.gfile.exists(os.path.join(folder, _GRAPH)):
    return folder
  names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
  versions = [name.rstrip("/") for name in names if name.rstrip("/").isdecimal()]
  for version in sorted(versions, key=int, reverse=True):
    if tf.io.gfile.exists(os.path.join(folder, version, _GRAPH)):
      return os.path.join(folder, version)
  raise StorageError(
    f"{key}: {folder} holds no export, allowed: the folder of a version, or the folder of the "
    f"versions. Write one with //heavy_ranker:export, or name another with {key}=FOLDER"
  )


def fingerprint(version_folder: str) -> str:
  """Returns a hash of a version's graph and weights: the same for a copy of it.

  Raises:
    StorageError: the version cannot be read.
  """
  return hash_of_files(os.path.join(version_folder, name) for name in (_GRAPH, _VARIABLES_INDEX))


def hash_of_files(files: Iterable[str]) -> str:
  """Returns the SHA-256 of the contents of files, one after the other.

  Raises:
    StorageError: names the file that cannot be read.
  """
  digest = hashlib.sha256()
  for path in files:
    try:
      with tf.io.gfile.GFile(path, "rb") as file:
        digest.update(file.read())
    except tf.errors.OpError as error:
      raise StorageError(f"{path}: cannot be read: {reason(error)}") from None
  return digest.hexdigest()


def tasks_of(version_folder: str, outputs: Iterable[str]) -> tuple[str, ...]:
  """Returns the tasks among a signature's outputs, in the order of the model.

  Args:
    version_folder: the version; its description of the score knows the order.
    outputs: the names of the outputs; those the description lacks come last, sorted.
  """
  tasks = set(outputs) - {"score", "probabilities"}
  try:
    with tf.io.gfile.GFile(os.path.join(version_folder, SCORE_FILE), "r") as file:
      known = list(json.loads(file.read())["weights"])
  except (tf.errors.OpError, ValueError, KeyError, TypeError):
    known = []  # Exports of other programs do not describe their score.
  return (*(task for task in known if task in tasks), *sorted(tasks - set(known)))
