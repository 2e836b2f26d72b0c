"""Commands that run in one process: each worker of a cluster would do all of the work again."""

from collections.abc import Mapping
from typing import Optional

from heavy_ranker.training.cluster.tf_config import TF_CONFIG, read_membership
from tfrecords.errors import ConfigError


def require_alone(command: str, environment: Optional[Mapping[str, str]] = None) -> None:
  """Refuses a TF_CONFIG that names several workers, who would all write the same files.

  Args:
    command: its name, such as "tune".
    environment: where to look for TF_CONFIG; the process's own when None.

  Raises:
    ConfigError: there is one that names several workers, or that cannot be used at all.
  """
  try:
    membership = read_membership(environment)
  except ConfigError as error:
    found = f"one that no command can use ({str(error).split(', allowed', 1)[0]})"
  else:
    if membership is None or membership.count == 1:
      return
    found = f"{membership.describe(membership.index)}, one of {membership.count} workers"
  raise ConfigError(
    f"{TF_CONFIG}: found {found}, allowed for //heavy_ranker:{command}: no {TF_CONFIG}, or one "
    "worker, since it runs in one process and only //heavy_ranker:train runs on several. Run it "
    f"once, without the variable: env -u {TF_CONFIG} and the same command"
  )
