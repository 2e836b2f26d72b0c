"""Records whose labels follow a known teacher, so that a trained model can be held against it.

`tfrecords.planted_world` says what the features look like, `tfrecords.planted_teacher` how the
labels depend on them. No model can know more than the teacher: its AUC and its cross entropy are
the best possible ones.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfrecords.planted_teacher import Teacher
from tfrecords.planted_world import CANDIDATES_PER_USER, PlantedWorld
from tfrecords.random_records import random_rows
from tfrecords.random_streams import stream
from tfrecords.recorded_probabilities import probability_features
from tfrecords.schema import Feature
from tfrecords.serialization import Rows

PROBABILITY_PREFIX = "planted.probability."
_USERS_A_BLOCK = 32


def teacher_probabilities_features(tasks: Iterable[str]) -> dict[str, Feature]:
  """Returns the features that hold the teacher's probabilities, by name; for a parser.

  They are named `planted.probability.<task>` and there when the records were generated with
  `--write_probabilities`; see `tfrecords.recorded_probabilities`.
  """
  return probability_features(PROBABILITY_PREFIX, tasks)


class PlantedRecords:
  """Blocks of planted records.

  Record i belongs to user i // CANDIDATES_PER_USER and depends on the two seeds and i alone.
  Features without a meaning in the planted world get random values, see
  `tfrecords.random_records.random_rows`.

  Args:
    features: what a record holds, by name in the record.
    tasks: the labels, names in the record.
    seed: of the examples, at least 0.
    teacher_seed: of the teacher and of what all users share, at least 0.
    write_probabilities: adds the features of `teacher_probabilities_features`.

  Attributes:
    features: what the blocks hold, by name in the record.
    block_size: records a block.
    teacher: gives the true probabilities.
  """

  block_size = _USERS_A_BLOCK * CANDIDATES_PER_USER

  def __init__(
    self,
    features: Mapping[str, Feature],
    tasks: Sequence[str],
    seed: int,
    teacher_seed: int = 0,
    write_probabilities: bool = False,
  ):
    self._inputs = {name: f for name, f in features.items() if name not in tasks}
    self._world = PlantedWorld({f.name: f for f in self._inputs.values()}, teacher_seed)
    self.teacher = Teacher(self._world, tasks, teacher_seed)
    self._seed = seed
    self._write_probabilities = write_probabilities
    self.features = dict(features)
    if write_probabilities:
      self.features.update(teacher_probabilities_features(tasks))

  def block(self, index: int) -> dict[str, Rows]:
    """Returns the records [index * block_size, (index + 1) * block_size), column by column."""
    streams = functools.partial(stream, self._seed, block=index)
    drawn = self._world.draw(streams, _USERS_A_BLOCK)
    columns = {name: self._column(f, drawn, streams(name)) for name, f in self._inputs.items()}
    shape = (self.block_size, len(self.teacher.tasks))
    probabilities = np.broadcast_to(self.teacher.probabilities(drawn), shape)
    for task, probability in zip(self.teacher.tasks, probabilities.T):
      label = streams(task).random(self.block_size) < probability
      columns[task] = label.astype(np.int64)[:, np.newaxis]
      if self._write_probabilities:
        columns[f"{PROBABILITY_PREFIX}{task}"] = probability.astype(np.float32)[:, np.newaxis]
    return columns

  def _column(
    self, feature: Feature, drawn: Mapping[str, np.ndarray], random: np.random.Generator
  ) -> Rows:
    if feature.name not in drawn:
      return random_rows(feature, random, self.block_size)
    return drawn[feature.name].astype(feature.tensor_dtype.as_numpy_dtype, copy=False)
