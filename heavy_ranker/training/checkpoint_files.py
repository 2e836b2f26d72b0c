"""A checkpoint's files on their way: written under another name, made sure of, published, removed.

Until everything of a checkpoint is on the disk, its files are called `unfinished-*`, which nobody
takes for a checkpoint. Then the data, the index and the manifest get their names, in this order; a
checkpoint is there once its index is. They go the other way round, the index first.
"""

import os
import re
from collections.abc import Sequence

import tensorflow as tf

from heavy_ranker.checkpoint_manifest import (
  MANIFEST_SUFFIX,
  files_of,
  read_everything,
  write_manifest,
)
from heavy_ranker.checkpoints import CHECKPOINT_NAME
from tfrecords import files
from tfrecords.files import flush_to_disk

_UNFINISHED = "unfinished-"
_STATE_FILE = "checkpoint"
_FILE = re.compile(rf"{CHECKPOINT_NAME}-(\d+)\.")


def unfinished_prefix(checkpoint: str) -> str:
  """Returns the prefix under which a checkpoint is written first."""
  folder, name = os.path.split(checkpoint)
  return os.path.join(folder, f"{_UNFINISHED}{name}")


def publish(checkpoint: str) -> int:
  """Makes sure of what lies under the unfinished prefix and gives it its name.

  What had that name before is removed, which leaves no moment in which both are mixed up.

  Returns:
    The checkpoint's bytes.

  Raises:
    tf.errors.OpError, OSError, ValueError, IndexError: it is not there as it was written, or the
      disk refuses.
  """
  unfinished = unfinished_prefix(checkpoint)
  for path in files_of(unfinished):
    flush_to_disk(path)
  read_everything(unfinished)
  manifest = f"{unfinished}{MANIFEST_SUFFIX}"
  size = write_manifest(unfinished, checkpoint, manifest)
  flush_to_disk(manifest)
  remove(checkpoint)
  for path in [*files_of(unfinished), manifest]:
    tf.io.gfile.rename(path, f"{checkpoint}{path[len(unfinished) :]}", overwrite=True)
  flush_to_disk(os.path.dirname(checkpoint))
  return size


def remove(checkpoint: str) -> None:
  """Removes a checkpoint, or what there is of it; from the first moment on it counts no more."""
  paths = [*reversed(files_of(checkpoint))]
  paths.insert(1, f"{checkpoint}{MANIFEST_SUFFIX}")
  for path in paths:
    try:
      tf.io.gfile.remove(path)
    except tf.errors.NotFoundError:
      pass  # Somebody else removed it.


def remove_unfinished(folder: str) -> None:
  """Removes what a process left that ended while it wrote or removed a checkpoint.

  These are unfinished files, and those of a step that has no index; but a manifest alone, newer
  than every index, is damage, which `intact_checkpoint` tells of.
  """
  if not tf.io.gfile.exists(folder):
    return
  files.remove_unfinished([os.path.join(folder, _STATE_FILE)])
  names = tf.io.gfile.listdir(folder)
  complete = _steps(names, ".index")
  newest = max(complete, default=-1)
  known = complete | {step for step in _steps(names, MANIFEST_SUFFIX) if step > newest}
  for name in names:
    path, found = os.path.join(folder, name), _FILE.match(name)
    if name.rstrip("/").endswith("_temp"):
      tf.io.gfile.rmtree(path)
    elif name.startswith(_UNFINISHED) or (found and int(found[1]) not in known):
      tf.io.gfile.remove(path)


def _steps(names: Sequence[str], suffix: str) -> set[int]:
  found = (_FILE.fullmatch(name[: -len(suffix)] + ".") for name in names if name.endswith(suffix))
  return {int(match[1]) for match in found if match}


def write_state(folder: str, checkpoints: Sequence[str]) -> None:
  """Writes the file `checkpoint`, from which tf.train.latest_checkpoint knows the newest.

  This project does not read it.
  """
  names = [os.path.basename(path) for path in checkpoints]
  lines = [f'model_checkpoint_path: "{names[-1]}"']
  lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
  path = os.path.join(folder, _STATE_FILE)
  with files.writing(path) as unfinished, files.open_file(unfinished, "wb") as file:
    file.write(("\n".join(lines) + "\n").encode())
