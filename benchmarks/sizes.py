"""Batch sizes as flags name them."""

from collections.abc import Sequence

from tfrecords.errors import ConfigError


def sizes_of(texts: Sequence[str], key: str = "--sizes") -> tuple[int, ...]:
  """Returns the sizes a flag names, each once.

  Args:
    texts: the flag's values.
    key: the flag.

  Raises:
    ConfigError: one is no positive number.
  """
  try:
    sizes = tuple(dict.fromkeys(int(text) for text in texts))
  except ValueError:
    sizes = ()
  if not sizes or min(sizes) < 1:
    raise ConfigError(
      f"{key}: found {','.join(texts)!r}, allowed: numbers from 1, such as 1,32,500"
    )
  return sizes
