"""What tells two finished runs of one configuration apart, clocks and names of folders aside."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from heavy_ranker.checkpoints import checkpoint_folder, checkpoints_of
from heavy_ranker.training.run_log import log_path, tensorboard_folder

_CLOCKS = re.compile(r" (?:examples_per_second|seconds|megabytes)=\S+")
_CLOCK_TAG = "examples_per_second"
# Told once a process, so once more for each time a run starts.
_EVENTS_OF_A_PROCESS = ("training", "preempted")
_CLOCK_KEYS = ("seconds", "checkpoint")


def differences(one: str, other: str, exports: tuple[str, str]) -> list[str]:
  """Compares checkpoints, logs, scalars, evaluations and exports, bit for bit.

  The position in the data is compared by what comes of it: how far a buffer was filled ahead when
  a checkpoint was written is a matter of threads, and changes no batch.

  Args:
    one: the `save_dir` of a run.
    other: that of another.
    exports: their folders of exported versions.

  Returns:
    A sentence a difference; none when the runs are the same.
  """
  found = list(_differing_checkpoints(one, other))
  for what, read in (("train.log", _log), ("scalars", _scalars), ("evaluations", _evaluations)):
    found += _differing(what, read(one), read(other))
  found += _differing("exports", *map(_exported, exports))
  return found


def _differing(what: str, one: Any, other: Any) -> list[str]:
  if one == other:
    return []
  if isinstance(one, (list, Counter)):
    lacks, has_more = Counter(one) - Counter(other), Counter(other) - Counter(one)
    return [
      f"{what}: missing {list(lacks)[:3]}, too many {list(has_more)[:3]}, or in another order"
    ]
  return [f"{what}: {one!r:.500} and {other!r:.500}"]


def _differing_checkpoints(one: str, other: str) -> Iterator[str]:
  names = [sorted(os.listdir(checkpoint_folder(run))) for run in (one, other)]
  if names[0] != names[1]:
    yield f"files of checkpoints: {names[0]} and {names[1]}"
    return
  for first, second in zip(checkpoints_of(one), checkpoints_of(other)):
    readers = [tf.train.load_checkpoint(path) for path in (first, second)]
    types = [reader.get_variable_to_dtype_map() for reader in readers]
    comparable = [name for name in sorted(types[0]) if _is_compared(name)]
    if comparable != [name for name in sorted(types[1]) if _is_compared(name)]:
      yield f"{first}: the names of what is stored"
      continue
    for name in comparable:
      values = [np.asarray(reader.get_tensor(name)) for reader in readers]
      if values[0].tobytes() != values[1].tobytes():
        yield f"{first}: {name}"


def _is_compared(name: str) -> bool:
  return not name.startswith(("data_position", "_CHECKPOINTABLE_OBJECT_GRAPH"))


def _log(run: str) -> list[str]:
  lines = []
  for line in Path(log_path(run)).read_text(encoding="utf-8").splitlines():
    content = _CLOCKS.sub("", line.split(" ", 1)[1]).replace(run, "RUN")
    if not content.startswith(tuple(f"event={kind} " for kind in _EVENTS_OF_A_PROCESS)):
      lines.append(content)
  return lines


def _scalars(run: str) -> "Counter[str]":
  """Counts them, so that one that is there twice tells."""
  found: Counter[str] = Counter()
  for path in sorted(Path(tensorboard_folder(run)).rglob("*.tfevents.*")):
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      for value in event.summary.value:
        content = b"" if value.tag == _CLOCK_TAG else tf.make_ndarray(value.tensor).tobytes()
        found[f"{path.parent.name} {event.step} {value.tag} {content.hex()}"] += 1
  return found


def _evaluations(run: str) -> list[str]:
  found = []
  for path in sorted((Path(run) / "evaluation").iterdir()):
    if path.suffix == ".json":
      content = json.loads(path.read_text())
      kept = {key: value for key, value in content.items() if key not in _CLOCK_KEYS}
      found.append(f"{path.name} {json.dumps(kept, sort_keys=True)}")
    elif not path.name.startswith("."):  # What a kill leaves of a file on its way.
      found.append(path.name)
  return found


def _exported(folder: str) -> list[tuple[str, bytes]]:
  """Returns what lies in a folder of versions, with the weights of each."""
  found = []
  for path in sorted(Path(folder).iterdir()):
    weights = sorted((path / "variables").glob("*.data-*"))
    found.append((path.name, b"".join(each.read_bytes() for each in weights)))
  return found
