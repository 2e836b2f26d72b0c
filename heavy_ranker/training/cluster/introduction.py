"""What a worker tells of itself before training starts, and whether two workers fit together."""

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.training.cluster.tf_config import Membership
from tfrecords.config.strict_model import describe

_PACKAGES = ("tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")
_MOST_CLOCK_DIFFERENCE_SECONDS = 60.0
_MOST_KEYS_SHOWN = 8
_ABSENT = "nothing"


@dataclass(frozen=True)
class Introduction:
  """What the chief compares before it lets a worker in.

  Attributes:
    index: the worker's place in the cluster.
    cluster: the digest of all addresses in their order.
    digest: of configuration and flags.
    settings: configuration and flags, value by dotted key, to name what differs.
    versions: of Python and of the packages that compute, by name.
    num_gpus: devices of this machine; 0 trains on the CPU.
    clock: seconds since 1970, when this was said.
  """

  index: int
  cluster: str
  digest: str
  settings: Mapping[str, Any]
  versions: Mapping[str, str]
  num_gpus: int
  clock: float

  def message(self) -> dict[str, Any]:
    """Returns it as plain data."""
    return {"kind": "hello", **asdict(self)}


def introduce(
  membership: Membership, config: HeavyRankerConfig, flags: Mapping[str, Any], num_gpus: int
) -> Introduction:
  """Returns what this process tells of itself.

  Args:
    membership: who it is.
    config: the whole configuration.
    flags: what else decides what it does, by name.
    num_gpus: how many it trains on.
  """
  settings = {**flatten(config.model_dump(mode="json")), **flags}
  return Introduction(
    membership.index,
    _digest(membership.addresses),
    _digest(settings),
    settings,
    {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    num_gpus,
    time.time(),
  )


def from_message(message: Mapping[str, Any]) -> Introduction:
  """Returns what another worker tells.

  Raises:
    ValueError: it is no introduction.
  """
  fields = {name: message.get(name) for name in Introduction.__dataclass_fields__}
  kinds = (int, str, str, dict, dict, int, (int, float))
  for (name, value), kind in zip(fields.items(), kinds):
    if not isinstance(value, kind) or isinstance(value, bool):
      raise ValueError(f"{name}: {describe(value)}")
  return Introduction(**fields)


def difference(
  ours: Introduction, theirs: Introduction, name: str, now: Optional[float] = None
) -> Optional[str]:
  """Returns why a worker cannot take part, or None.

  Args:
    ours: the chief's.
    theirs: the worker's.
    name: what to call the worker.
    now: the chief's clock when the worker's introduction came; this moment when None.
  """
  if theirs.cluster != ours.cluster:
    return f"{name} has other addresses in its TF_CONFIG than the chief, allowed: the same for all"
  if theirs.versions != ours.versions:
    return (
      f"{name} has other versions than the chief: "
      f"{_differences(ours.versions, theirs.versions, name)}. Install the same on all machines"
    )
  if theirs.digest != ours.digest:
    return (
      f"{name} has another configuration (digest {theirs.digest[:12]}) than the chief "
      f"({ours.digest[:12]}): {_differences(ours.settings, theirs.settings, name)}. Start all "
      "workers with the same --config_path, --set and flags"
    )
  if theirs.num_gpus != ours.num_gpus:
    return (
      f"{name} has {theirs.num_gpus} GPU(s), the chief {ours.num_gpus}, allowed: the same number "
      "on all machines (CUDA_VISIBLE_DEVICES hides some)"
    )
  apart = theirs.clock - (time.time() if now is None else now)
  if abs(apart) > _MOST_CLOCK_DIFFERENCE_SECONDS:
    return (
      f"{name}'s clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the chief's, "
      f"allowed: {_MOST_CLOCK_DIFFERENCE_SECONDS:.0f} s, so that logs and files of the machines "
      "can be compared. Set the clocks (NTP)"
    )
  return None


def flatten(content: Any, prefix: str = "") -> dict[str, Any]:
  """Returns nested data as a value by dotted key, an element of a list under its index."""
  if isinstance(content, Mapping) and content:
    pairs = content.items()
  elif isinstance(content, list) and content:
    pairs = enumerate(content)
  else:
    return {prefix: content}
  nested = (flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in pairs)
  return {key: value for found in nested for key, value in found.items()}


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> str:
  keys = [
    key
    for key in dict.fromkeys([*ours, *theirs])
    if ours.get(key, _ABSENT) != theirs.get(key, _ABSENT)
  ]
  shown = [
    f"{key} is {ours.get(key, _ABSENT)!r} on the chief, {theirs.get(key, _ABSENT)!r} on {name}"
    for key in keys[:_MOST_KEYS_SHOWN]
  ]
  more = [f"and {len(keys) - len(shown)} more"] if len(keys) > len(shown) else []
  return "; ".join([*shown, *more])


def _digest(content: Any) -> str:
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return _ABSENT
