"""The environment variable TF_CONFIG, which says who the workers of a cluster are.

Its form is TensorFlow's: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker",
"index": 0}}, the same cluster for all, another task for each. A cluster may have one "chief";
otherwise worker 0 is it.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from tfrecords.config.strict_model import describe
from tfrecords.errors import ConfigError

TF_CONFIG = "TF_CONFIG"
_TYPES = ("chief", "worker")
_ADDRESS = re.compile(r"(?P<host>[^\s:/\[\]]+|\[[0-9a-fA-F:.%\w]+\]):(?P<port>[0-9]{1,5})")
_EXAMPLE = (
  '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Membership:
  """Who this process is among the workers of a cluster.

  Attributes:
    names: of all workers, the chief first, such as "worker 1".
    addresses: "host:port" of each.
    index: this process's place in both.
  """

  names: tuple[str, ...]
  addresses: tuple[str, ...]
  index: int

  @property
  def count(self) -> int:
    """How many workers there are, the chief among them."""
    return len(self.names)

  @property
  def is_chief(self) -> bool:
    """Whether this process writes checkpoints, logs and exports."""
    return self.index == 0

  def describe(self, index: int) -> str:
    """Returns a worker's name and address, for people."""
    return f"{self.names[index]} ({self.addresses[index]})"


def read_membership(environment: Optional[Mapping[str, str]] = None) -> Optional[Membership]:
  """Reads TF_CONFIG.

  Args:
    environment: where to look; the process's own when None.

  Returns:
    None when it is not set or empty.

  Raises:
    ConfigError: it cannot be used; names the part, what was found and what is allowed.
  """
  text = (os.environ if environment is None else environment).get(TF_CONFIG, "").strip()
  if not text:
    return None
  try:
    content = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise _refused("", describe(text), f"JSON such as {_EXAMPLE} ({error})") from None
  if not isinstance(content, dict):
    raise _refused("", describe(content), f"an object such as {_EXAMPLE}")
  cluster = content.get("cluster")
  if not isinstance(cluster, dict) or not cluster:
    raise _refused("cluster", describe(cluster), f"the addresses of the workers, as in {_EXAMPLE}")
  jobs = {job: _addresses_of(job, addresses) for job, addresses in cluster.items()}
  if len(jobs.get("chief", ())) > 1:
    raise _refused("cluster.chief", f"{len(jobs['chief'])} addresses", "one")
  names, addresses = [], []
  for job in _TYPES:
    for number, address in enumerate(jobs.get(job, ())):
      if address in addresses:
        taken = names[addresses.index(address)]
        raise _refused(f"cluster.{job}.{number}", f"{address!r}, which is {taken}'s", "its own")
      names.append(f"{job} {number}")
      addresses.append(address)
  return Membership(tuple(names), tuple(addresses), names.index(_own_name(content, jobs)))


def _addresses_of(job: str, addresses: Any) -> list[str]:
  key = f"cluster.{job}"
  if job == "evaluator":
    raise _refused(
      key, "it", "chief and worker; measure with //heavy_ranker:evaluate --follow instead"
    )
  if job not in _TYPES:
    raise _refused(key, "it", "chief and worker (there are no parameter servers)")
  if not isinstance(addresses, list) or not addresses:
    raise _refused(key, describe(addresses), 'a list of addresses such as ["host1:2222"]')
  for number, address in enumerate(addresses):
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match["port"]) < 65536:
      raise _refused(f"{key}.{number}", describe(address), '"HOST:PORT", such as "host1:2222"')
  return addresses


def _own_name(content: dict[str, Any], jobs: Mapping[str, list[str]]) -> str:
  task = content.get("task")
  if not isinstance(task, dict):
    raise _refused(
      "task", describe(task), 'who this process is, such as {"type": "worker", "index": 0}'
    )
  kind, index = task.get("type"), task.get("index")
  if kind not in jobs:
    raise _refused("task.type", describe(kind), f"a type of the cluster: {', '.join(jobs)}")
  # Kubernetes' own manifests can only give it as text.
  number = int(index) if isinstance(index, str) and index.isdecimal() else index
  if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(jobs[kind]):
    raise _refused(
      "task.index", describe(index), f"0 to {len(jobs[kind]) - 1}, the addresses of cluster.{kind}"
    )
  return f"{kind} {number}"


def _refused(key: str, found: str, allowed: str) -> ConfigError:
  where = f"{TF_CONFIG}: {key}" if key else TF_CONFIG
  return ConfigError(
    f"{where}: found {found}, allowed: {allowed}. Unset {TF_CONFIG} to train on this machine alone"
  )
