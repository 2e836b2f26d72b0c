"""Reads a YAML configuration file: environment variables, anchors, what it extends, overrides.

The file is text first: `$NAME` and `${NAME}` are replaced from the environment, `$$` stands for
one dollar sign, and `CONFIG_DIR` is the folder of the file itself. A variable that is not set
stays as it stands, so that a file can be loaded and inspected anywhere; whatever then uses such a
path refuses it (see `tfrecords.paths`).

The key `extends` at the top level names another file, relative to the file that has it: the
content is then that file's with this one's laid over it (see `tfrecords.config.merge_patch`).
"""

import contextlib
import getpass
import os
import re
import string
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from tfrecords.config.merge_patch import merge
from tfrecords.config.strict_model import describe
from tfrecords.config.yaml_bounds import MOST_BYTES, MOST_NODES, require_sane, require_size
from tfrecords.errors import ConfigError

_QUOTED_OR_PLAIN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^.\["']+))\s*""")


class _Loader(yaml.SafeLoader):
  """SafeLoader that refuses a key given twice, which YAML forbids and PyYAML lets pass.

  It also bounds what merge keys come to.
  """

  def flatten_mapping(self, node: yaml.MappingNode) -> None:
    super().flatten_mapping(node)
    if len(node.value) > MOST_NODES:
      raise yaml.constructor.ConstructorError(
        None, None, f"merge keys add up to {len(node.value)} keys", node.start_mark
      )

  def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
    seen: dict[Any, yaml.Mark] = {}
    for key_node, _ in node.value:
      if key_node.tag == "tag:yaml.org,2002:merge":
        continue
      key = self.construct_object(key_node, deep=True)
      if not isinstance(key, Hashable):
        continue  # SafeLoader's own message for an unhashable key is good enough.
      if key in seen:
        raise yaml.constructor.ConstructorError(
          None,
          None,
          f"key {key!r} is given twice, first in line {seen[key].line + 1}",
          key_node.start_mark,
        )
      seen[key] = key_node.start_mark
    return super().construct_mapping(node, deep)


def read(path: Union[str, Path], overrides: Iterable[str] = ()) -> dict[str, Any]:
  """Returns a configuration file's content with the overrides applied.

  Args:
    path: the YAML file; what it extends is read, too.
    overrides: "dotted.key=yaml value" strings, applied in order; see `apply_override`.

  Raises:
    ConfigError: a file is missing, no YAML, or no mapping, or extends itself, or an override
      cannot be applied.
  """
  return read_with_origin(path, overrides)[0]


def read_with_origin(
  path: Union[str, Path], overrides: Iterable[str] = ()
) -> tuple[dict[str, Any], str]:
  """Returns what `read` does, and the name of the file and of those it extends, for messages."""
  chain = _read_chain(Path(path))
  content = chain[-1][1]
  try:
    for _, changes in reversed(chain[:-1]):
      content = merge(content, changes)
  except RecursionError:
    raise ConfigError(f"{path}: an anchor holds itself, allowed: one that ends") from None
  for override in overrides:
    apply_override(content, override)
  return content, " (extends ".join(str(file) for file, _ in chain) + ")" * (len(chain) - 1)


def _read_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
  """Returns the file and its content, then what it extends and so on, without the key itself."""
  chain: list[tuple[Path, dict[str, Any]]] = []
  seen: list[Path] = []
  while True:
    content = _read_file(path, chain[-1][0] if chain else None)
    seen.append(path.resolve())
    if seen[-1] in seen[:-1]:
      ring = " -> ".join(map(str, seen))
      raise ConfigError(f"{chain[-1][0]}: extends: found a ring, allowed: a chain: {ring}")
    extended = content.pop("extends", None)
    chain.append((path, content))
    if extended is None:
      return chain
    if not isinstance(extended, str) or not extended.strip():
      raise ConfigError(
        f"{path}: extends: found {describe(extended)}, allowed: the path of one YAML file, "
        "relative to this one's folder"
      )
    path = Path(os.path.normpath(seen[-1].parent / extended))


def _read_file(path: Path, extended_by: Optional[Path]) -> dict[str, Any]:
  origin = str(path) if extended_by is None else f"{path} (extended by {extended_by})"
  try:
    with path.open("rb") as file:
      content = file.read(MOST_BYTES + 1)
    require_size(len(content), origin)
    text = content.decode("utf-8")
  except (OSError, ValueError) as error:
    raise ConfigError(f"{origin}: the configuration file cannot be read: {error}") from None
  content = _parse(substitute_environment(text, path.resolve().parent), origin)
  if not isinstance(content, dict):
    raise ConfigError(
      f"{origin}: found {describe(content)}, allowed: a mapping with keys such as training, model, "
      "train_data"
    )
  return content


def substitute_environment(text: str, config_dir: Path) -> str:
  """Replaces `$NAME` and `${NAME}` by environment variables; unknown ones stay as they stand."""
  variables = {**os.environ, "CONFIG_DIR": str(config_dir)}
  if "USER" not in variables:
    # A container's user id may have no name: ${USER} then counts as not set.
    with contextlib.suppress(KeyError, OSError):
      variables["USER"] = getpass.getuser()
  return string.Template(text).safe_substitute(variables)


def apply_override(content: dict[str, Any], override: str) -> None:
  """Sets one key of a parsed configuration in place.

  Task names hold dots themselves. A part of the key that already exists in the file is found as
  it stands (`model.tasks.recap.engagement.is_replied.pos_weight=2`); a new one is quoted
  (`score.weights."my.task"=3`). Lists take an index (`model.backbone.layers.0=8`).

  Args:
    content: the parsed file, changed in place.
    override: "dotted.key=yaml value"; the value null removes what the file says.

  Raises:
    ConfigError: there is no "=", the value is no YAML, or the key leads through a scalar.
  """
  key, separator, value = override.partition("=")
  if not separator or not key.strip():
    raise ConfigError(f"override {override!r}: allowed: dotted.key=value, such as training.seed=1")
  parsed = _parse(value, f"override {override!r}")
  node: Any = content
  rest = key.strip()
  if key.strip().endswith("."):
    raise ConfigError(f"override {override!r}: {key.strip()!r} is no dotted key")
  while True:
    part, rest = _next_part(node, rest, override)
    if not rest:
      break
    child = node[part] if isinstance(node, list) else node.get(part)
    if child is None:
      child = {}
      node[part] = child
    elif not isinstance(child, (dict, list)):
      raise ConfigError(f"override {override!r}: {part!r} holds {describe(child)}, no mapping")
    elif isinstance(child, dict):
      child = dict(child)  # YAML anchors share one dict: an override must not reach its twins.
      node[part] = child
    else:
      child = list(child)
      node[part] = child
    node = child
  if parsed is None and isinstance(node, dict):
    node.pop(part, None)
  else:
    node[part] = parsed


def _next_part(node: Any, rest: str, override: str) -> tuple[Any, str]:
  """Splits the first key off `rest`: the longest one that exists in `node`, or the first word."""
  if isinstance(node, list):
    first, _, remainder = rest.partition(".")
    if not first.isdecimal() or int(first) >= len(node):
      raise ConfigError(
        f"override {override!r}: found index {first!r}, allowed: 0 to {len(node) - 1}"
      )
    return int(first), remainder
  known = [key for key in node if isinstance(key, str) and f"{rest}.".startswith(f"{key}.")]
  if known:
    part = max(known, key=len)
    return part, rest[len(part) + 1 :]
  match = _QUOTED_OR_PLAIN.match(rest)
  if not match or (match.end() < len(rest) and rest[match.end()] != "."):
    raise ConfigError(f"override {override!r}: {rest!r} is no dotted key")
  part = next(group for group in match.groups() if group is not None)
  return part, rest[match.end() + 1 :]


def _parse(text: str, origin: str) -> Any:
  require_size(len(text), origin)
  try:
    content = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader.
  except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
    # The last ones: SafeLoader lets out what int(), float() and datetime make of odd scalars.
    raise ConfigError(f"{origin}: no valid YAML: {error}") from None
  require_sane(content, origin)
  return content


def section(content: Mapping[str, Any], key: str, origin: str) -> Any:
  """Returns one top-level section, or raises a ConfigError that lists those there are."""
  if content.get(key) is None:
    raise ConfigError(
      f"{origin}: section {key!r} is missing; found: {', '.join(map(str, content))}"
    )
  return content[key]
