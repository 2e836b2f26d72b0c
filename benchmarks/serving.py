"""What a server costs beside the model it serves, measured in one run on one machine."""

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Callable, Optional

import tensorflow as tf

from benchmarks import load
from benchmarks.senders import SENDERS, random_inputs
from benchmarks.server_process import ServerProcess
from benchmarks.version_swaps import swap_versions
from heavy_ranker.serving.client import Client
from heavy_ranker.serving.client_types import Signature
from heavy_ranker.serving.signatures import SERVING_DEFAULT

BARE = "bare"
_FIRST_REQUEST = 500
_SMALL = 1
_WARM_UP = 1000
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Bounds:
  """How much is measured.

  Attributes:
    sizes: candidates a request.
    apis: "grpc", "rest".
    requests: the most of one size and API.
    seconds: the most that one size takes, for latency and for throughput each.
    concurrency: connections that press at the same time.
    swaps: how many new versions.
    soak: how many small requests.
    long_seconds: the most that swaps and soak take, each.
    timeout_seconds: of a request.
  """

  sizes: tuple[int, ...] = (1, 32, 500, 1500)
  apis: tuple[str, ...] = ("grpc", "rest")
  requests: int = 200
  seconds: float = 20.0
  concurrency: int = 2
  swaps: int = 0
  soak: int = 0
  long_seconds: float = 600.0
  timeout_seconds: float = 60.0


class ServingBenchmark:
  """Measures a server that runs, and its model without it.

  Args:
    server: the server.
    base_path: the folder of the versions it watches.
    bounds: how much to measure.
  """

  def __init__(self, server: ServerProcess, base_path: str, bounds: Bounds):
    self._server, self._base_path, self._bounds = server, base_path, bounds
    self._addresses = {"grpc": server.grpc_address, "rest": server.rest_address}
    with Client(server.grpc_address) as client:
      self._signature: Signature = client.signature(SERVING_DEFAULT)
    self._bare: Optional[tuple[Any, Callable]] = None

  def run(self) -> dict[str, Any]:
    """Returns everything that was measured, as plain data; times in milliseconds."""
    first = self._first_request()
    found: dict[str, Any] = {"first_request": first, "latency": {}, "throughput": {}}
    for size in self._bounds.sizes:
      found["latency"][str(size)] = self._latency(size)
      found["throughput"][str(size)] = self._throughput(size)
    medians = found["latency"].get(str(first["candidates"]), {}).get("grpc", {})
    if medians.get("p50"):
      first["ratio_to_median"] = _ratio(first["milliseconds"], medians["p50"])
    found.update(self._long_runs())
    return found

  def _first_request(self) -> dict[str, Any]:
    """The very first one the server gets after it says that it is ready."""
    sizes = self._bounds.sizes
    size = _FIRST_REQUEST if _FIRST_REQUEST in sizes else sizes[-1]
    taken = load.Load()
    with closing(self._sender("grpc", size)) as sender:
      taken.time(sender.send)
    if not taken.seconds:
      return {"candidates": size, "milliseconds": None, **taken.counts()}
    return {"candidates": size, "milliseconds": round(taken.seconds[0] * 1000, 4)}

  def _latency(self, size: int) -> dict[str, Any]:
    with ExitStack() as stack:
      calls = {BARE: self._bare_call(size)}
      for api in self._bounds.apis:
        calls[api] = stack.enter_context(closing(self._sender(api, size))).send
      loads = load.alternate(calls, self._bounds.requests, self._bounds.seconds)
    found = {name: of.latency() for name, of in loads.items()}
    for api in self._bounds.apis:
      for percentile in ("p50", "p99"):
        ratio = _ratio(found[api][percentile], found[BARE][percentile])
        found[api][f"{percentile}_to_bare"] = ratio
    return found

  def _throughput(self, size: int) -> dict[str, Any]:
    bounds = self._bounds
    seconds = bounds.seconds / (1 + len(bounds.apis))
    bare = load.press([self._bare_call(size)] * bounds.concurrency, bounds.requests, seconds)
    found: dict[str, Any] = {BARE: {"examples_per_second": bare.examples_per_second()}}
    for api in bounds.apis:
      with ExitStack() as stack:
        pressed = load.press(self._calls(stack, api, size), bounds.requests, seconds)
      found[api] = {
        "examples_per_second": pressed.examples_per_second(),
        "to_bare": _ratio(pressed.examples_per_second(), bare.examples_per_second()),
        **pressed.latency(),
      }
    return found

  def _long_runs(self) -> dict[str, Any]:
    bounds = self._bounds
    if not bounds.soak and not bounds.swaps:
      return {}
    found: dict[str, Any] = {}
    with ExitStack() as stack:
      calls = self._calls(stack, "grpc", _SMALL)
      load.press(calls, _WARM_UP, bounds.long_seconds)
      memory = {"before": self._server.resident_bytes()}
      if bounds.soak:
        soak = load.press(calls, bounds.soak, bounds.long_seconds)
        found["soak"] = {"wanted": bounds.soak, **soak.latency()}
        memory["after_soak"] = self._server.resident_bytes()
      if bounds.swaps:
        every = [call for api in bounds.apis for call in self._calls(stack, api, _SMALL)]
        found["swaps"] = swap_versions(
          self._server, self._base_path, every, bounds.swaps, bounds.long_seconds
        )
        memory["after_swaps"] = self._server.resident_bytes()
    before = memory["before"]
    found["memory_mb"] = {name: round(size / _MEGABYTE, 1) for name, size in memory.items()}
    found["memory_to_before"] = {
      name: _ratio(size, before) for name, size in memory.items() if name != "before"
    }
    return found

  def _calls(self, stack: ExitStack, api: str, size: int) -> list[load.Call]:
    senders = [self._sender(api, size) for _ in range(self._bounds.concurrency)]
    return [stack.enter_context(closing(sender)).send for sender in senders]

  def _sender(self, api: str, size: int) -> Any:
    inputs = random_inputs(self._signature, size)
    return SENDERS[api](self._addresses[api], inputs, self._bounds.timeout_seconds)

  def _bare_call(self, size: int) -> load.Call:
    """Returns a call of the model in this process, from arrays to arrays."""
    if self._bare is None:
      versions = [int(name) for name in os.listdir(self._base_path) if name.isdecimal()]
      loaded = tf.saved_model.load(os.path.join(self._base_path, str(max(versions))))
      self._bare = loaded, loaded.signatures[SERVING_DEFAULT]
    _, signature = self._bare
    inputs = random_inputs(self._signature, size)

    def call() -> int:
      outputs = signature(**{name: tf.constant(array) for name, array in inputs.items()})
      return len({name: tensor.numpy() for name, tensor in outputs.items()}["score"])

    return call


def _ratio(value: Optional[float], of: Optional[float]) -> Optional[float]:
  return round(value / of, 4) if value is not None and of else None


def all_answered(found: Any) -> bool:
  """Tells whether nothing in a result counts a failed request or a swap that did not happen."""
  if not isinstance(found, dict):
    return True
  if found.get("failed") or found.get("problem"):
    return False
  return all(map(all_answered, found.values()))
