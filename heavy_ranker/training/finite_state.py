"""The last look before a checkpoint: finite gradients can still make weights that are not."""

from collections.abc import Sequence

import tensorflow as tf

from tfrecords.errors import TrainingError

_MOST_NAMES_SHOWN = 5


class FiniteState:
  """Tells whether variables hold finite numbers only; costs one pass over them.

  Args:
    variables: of any dtype; only floating ones are looked at.
  """

  def __init__(self, variables: Sequence[tf.Variable]):
    self._variables = [variable for variable in variables if variable.dtype.is_floating]

  def require(self, step: int, last: str) -> None:
    """Raises a TrainingError that names the variables which are not finite.

    Args:
      step: updates made.
      last: the newest checkpoint, for the message; empty if there is none.
    """
    # One by one, not in a tf.function: to trace it takes longer than to look at a small model.
    bad = [variable.name for variable in self._variables if not _is_finite(variable)]
    if not bad:
      return
    shown = ", ".join(bad[:_MOST_NAMES_SHOWN]) + (" ..." if len(bad) > _MOST_NAMES_SHOWN else "")
    raise TrainingError(
      f"step {step}: {len(bad)} variable(s) are not finite after finite gradients: {shown}. No "
      f"checkpoint of this state is written; "
      + (f"the last good one is {last}. " if last else "there is none yet. ")
      + "Lower the learning rates"
    )


def _is_finite(variable: tf.Variable) -> bool:
  return bool(tf.reduce_all(tf.math.is_finite(tf.identity(variable))))
