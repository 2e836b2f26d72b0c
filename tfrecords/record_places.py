"""A record's place, file and position in it, as one number.

Every component of a dataset's elements costs time at each stage, so that one number does what two
would.
"""

import tensorflow as tf

_PLACES_A_FILE = 1 << 40


def first_place(file: tf.Tensor) -> tf.Tensor:
  """Returns the place of a file's first record; those of the next ones follow.

  Args:
    file: int64, the file's place in the list of shards.
  """
  return file * _PLACES_A_FILE


def files_and_positions(places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the numbers of the records' files and the records' positions in them, from 0.

  Args:
    places: int64; both results are of that shape.
  """
  return places // _PLACES_A_FILE, places % _PLACES_A_FILE
