"""Bounds of YAML: with aliases and merge keys a few lines can mean more than memory holds."""

from typing import Any

from tfrecords.errors import ConfigError

MOST_BYTES = 4 << 20
# Mappings, lists, keys and scalars, with what an alias stands for counted each time.
MOST_NODES = 200_000


def require_size(size: int, origin: str) -> None:
  """Raises a ConfigError if a file has too many bytes."""
  if size > MOST_BYTES:
    raise ConfigError(f"{origin}: found more than {MOST_BYTES} bytes, allowed: at most so many")


def require_sane(content: Any, origin: str) -> None:
  """Raises a ConfigError if parsed YAML is too large, holds itself, or text no file can hold.

  Takes time only for what is written, however often aliases repeat it.
  """
  try:
    count = _count(content, {}, origin)
  except RecursionError:
    raise ConfigError(f"{origin}: found mappings or lists nested too deeply") from None
  if count == float("inf"):
    raise ConfigError(f"{origin}: an anchor holds itself, allowed: one that ends")
  if count > MOST_NODES:
    raise ConfigError(
      f"{origin}: with its aliases written out it has {count:.3g} entries, allowed: at most "
      f"{MOST_NODES}"
    )


def _count(node: Any, known: dict[int, float], origin: str) -> float:
  """Returns how many nodes there are; of those that hold themselves, infinitely many."""
  if isinstance(node, str):
    _require_text(node, origin)
  if not isinstance(node, (dict, list)):
    return 1
  if id(node) not in known:
    known[id(node)] = float("inf")  # Until it is known: who meets it again is inside of it.
    children = node if isinstance(node, list) else [*node.keys(), *node.values()]
    known[id(node)] = 1 + sum(_count(child, known, origin) for child in children)
  return known[id(node)]


def _require_text(text: str, origin: str) -> None:
  try:
    text.encode("utf-8")
  except UnicodeEncodeError:
    raise ConfigError(f"{origin}: found {ascii(text)[:60]}, allowed: Unicode text") from None
