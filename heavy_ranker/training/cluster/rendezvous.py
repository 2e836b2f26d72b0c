"""Where the workers meet before TensorFlow starts its own servers.

TensorFlow waits for a worker for ever, and says nothing when two of them do different things. So
each first makes sure that its own port is free, and the workers call the chief at its address of
TF_CONFIG and introduce themselves. The chief compares, answers all of them alike, and hands the
port over to TensorFlow. The connections stay: see `heavy_ranker.training.cluster.hub`.
"""

import contextlib
import errno
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from heavy_ranker.training.cluster.introduction import Introduction, difference, from_message
from heavy_ranker.training.cluster.messages import Connection, MalformedMessageError, Message
from heavy_ranker.training.cluster.tf_config import TF_CONFIG, Membership
from tfrecords.errors import ClusterError, ConfigError

_RETRY_SECONDS = 0.3
_MOST_SECONDS_TO_INTRODUCE = 5.0
_MOST_SECONDS_TO_PROBE = 30.0
_SECONDS_TO_TELL_OTHERS = 3.0


@dataclass(frozen=True)
class Meeting:
  """What the rendezvous came to.

  Attributes:
    run_id: the same for all workers of this start, and of no other.
    connections: the chief's to each worker, by its place; a worker's to the chief, at 0.
  """

  run_id: str
  connections: dict[int, Connection] = field(default_factory=dict)


def meet(membership: Membership, introduction: Introduction, timeout_seconds: float) -> Meeting:
  """Waits until all workers are there, and compares them.

  Args:
    membership: who this process is.
    introduction: what it tells of itself.
    timeout_seconds: how long the workers wait for each other.

  Raises:
    ConfigError: this worker's port cannot be used.
    ClusterError: a worker did not come in time, or is set up differently; all of them say so.
  """
  deadline = time.monotonic() + timeout_seconds
  with contextlib.closing(_listen(membership)) as listener:
    if membership.is_chief:
      return _welcome(listener, membership, introduction, deadline)
    return _call(membership, introduction, deadline)


def _listen(membership: Membership) -> socket.socket:
  """Returns a socket on this worker's port, on all its addresses, where TensorFlow's will be."""
  address = membership.addresses[membership.index]
  port = int(address.rsplit(":", 1)[1])
  listener = None
  try:
    listener = _any_address_socket()
    listener.bind(("", port))
    listener.listen(membership.count)
    return listener
  except OSError as error:
    if listener is not None:
      listener.close()
    what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    raise ConfigError(
      f"{TF_CONFIG}: {membership.describe(membership.index)}: port {port} of this machine {what}, "
      "allowed: a port of its own for each worker. End what uses it, or give all workers another "
      "address"
    ) from None


def _any_address_socket() -> socket.socket:
  """Returns a socket for IPv6 and IPv4 together, or for IPv4 where there is no IPv6."""
  try:
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
  except OSError:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
  made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  return made


def _welcome(
  listener: socket.socket, membership: Membership, ours: Introduction, deadline: float
) -> Meeting:
  meeting, callers, refusal = Meeting(uuid.uuid4().hex), [], None
  try:
    while len(callers) < membership.count - 1:
      listener.settimeout(max(deadline - time.monotonic(), 0.01))
      try:
        connection = Connection(listener.accept()[0])
      except socket.timeout:
        refusal = refusal or _missing(membership, meeting)
        break
      theirs = _hear(connection)
      if theirs is None:
        continue
      callers.append(connection)
      problem = _problem(theirs, meeting, membership, ours)
      if problem is None:
        meeting.connections[theirs.index] = connection
      elif refusal is None:
        # The others hear it too, if they come soon.
        refusal, deadline = problem, min(deadline, time.monotonic() + _SECONDS_TO_TELL_OTHERS)
    refusal = refusal or _find_unreachable(meeting, membership)
    if refusal is not None:
      _answer(callers, {"kind": "refused", "reason": refusal})
      raise ClusterError(refusal)
    _answer(callers, {"kind": "welcome", "run_id": meeting.run_id})
  except BaseException:
    for connection in callers:
      connection.close()
    raise
  return meeting


def _find_unreachable(meeting: Meeting, membership: Membership) -> Optional[str]:
  """Has all workers, who still listen, call each other: TensorFlow will need every connection."""
  _answer(list(meeting.connections.values()), {"kind": "probe"})
  problems = [_unreachable(membership)]
  for index, connection in meeting.connections.items():
    try:
      problems.append(connection.receive(_MOST_SECONDS_TO_PROBE).get("problem"))
    except (OSError, EOFError, MalformedMessageError) as error:
      problems.append(f"{membership.describe(index)} is lost before the start: {error}")
  return next((str(problem) for problem in problems if problem is not None), None)


def _unreachable(membership: Membership) -> Optional[str]:
  """Returns which worker this one cannot reach, or None."""
  for index, address in enumerate(membership.addresses):
    if index == membership.index:
      continue
    host, port = address.rsplit(":", 1)
    try:
      socket.create_connection((host.strip("[]"), int(port)), _MOST_SECONDS_TO_INTRODUCE).close()
    except OSError as error:
      here = membership.describe(membership.index)
      return (
        f"{membership.describe(index)} cannot be reached from {here} ({error.strerror or error}), "
        "allowed: connections from each worker to the port of each. See to the network, or correct "
        f"the address in {TF_CONFIG} of all workers"
      )
  return None


def _answer(callers: Sequence[Connection], answer: Message) -> None:
  for connection in callers:
    # Who has died since is found out soon enough.
    with contextlib.suppress(OSError):
      connection.send(answer)


def _hear(connection: Connection) -> Optional[Introduction]:
  """Returns who has called, or None if it is none of ours: a probe of the port, say."""
  try:
    return from_message(connection.receive(_MOST_SECONDS_TO_INTRODUCE))
  except (OSError, EOFError, MalformedMessageError, ValueError):
    connection.close()
    return None


def _problem(
  theirs: Introduction, meeting: Meeting, membership: Membership, ours: Introduction
) -> Optional[str]:
  """Returns why the run cannot start with this worker, or None."""
  if not 0 <= theirs.index < membership.count:
    return f"{TF_CONFIG}: a process takes itself for number {theirs.index} of {membership.count}"
  name = membership.describe(theirs.index)
  if theirs.index == 0 or theirs.index in meeting.connections:
    return f"{TF_CONFIG}: two processes take themselves for {name}, allowed: one for each task"
  return difference(ours, theirs, name)


def _missing(membership: Membership, meeting: Meeting) -> str:
  absent = [
    membership.describe(index)
    for index in range(1, membership.count)
    if index not in meeting.connections
  ]
  return (
    f"{', '.join(absent)} did not come in time, allowed: all {membership.count} workers of "
    f"{TF_CONFIG} within training.workers.start_timeout_in_s of each other. See what became of "
    "it, and whether it can reach the chief"
  )


def _call(membership: Membership, introduction: Introduction, deadline: float) -> Meeting:
  host, port = membership.addresses[0].rsplit(":", 1)
  chief, problem = membership.describe(0), "nothing answers there"
  while time.monotonic() < deadline:
    try:
      left = max(deadline - time.monotonic(), 0.1)
      connection = Connection(socket.create_connection((host.strip("[]"), int(port)), left))
    except OSError as error:
      # It may still be starting.
      problem = f"{error.strerror or error}"
      time.sleep(_RETRY_SECONDS)
      continue
    try:
      return _introduce(connection, membership, introduction, deadline)
    except socket.timeout:
      problem = "it does not answer"
    except (OSError, EOFError) as error:
      problem = str(error)
    except MalformedMessageError as error:
      problem = f"what listens there is no worker: {error}"
    except BaseException:
      connection.close()
      raise
    connection.close()
    time.sleep(_RETRY_SECONDS)
  raise ClusterError(
    f"the chief, {chief}, cannot be reached ({problem}), allowed: all {membership.count} workers "
    f"of {TF_CONFIG} within training.workers.start_timeout_in_s of each other. Start it, and see "
    "whether this machine can reach its address"
  )


def _introduce(
  connection: Connection, membership: Membership, introduction: Introduction, deadline: float
) -> Meeting:
  connection.send(introduction.message())
  # The chief waits for the others until a deadline of its own, which may be later than this one.
  patience = max(deadline - time.monotonic(), 0.0) + _MOST_SECONDS_TO_INTRODUCE
  answer: Message = connection.receive(patience)
  if answer["kind"] == "probe":
    connection.send({"kind": "reached", "problem": _unreachable(membership)})
    answer = connection.receive(_MOST_SECONDS_TO_PROBE)
  if answer["kind"] == "refused":
    raise ClusterError(str(answer.get("reason")))
  if answer["kind"] != "welcome":
    raise MalformedMessageError(f"{answer['kind']!r}")
  return Meeting(str(answer.get("run_id")), {0: connection})
