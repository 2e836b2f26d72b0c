"""What the server tells about itself, in the text format of Prometheus."""

import threading
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
# The label of names that no model has: whoever makes names up makes no new time series.
_UNKNOWN = "unknown"


class Telemetry:
  """Counters and histograms of one server; safe for threads."""

  def __init__(self):
    self._registry = CollectorRegistry()
    self._lock = threading.Lock()
    self._known: set[tuple[str, str]] = set()
    labels = ("model", "signature", "api")
    self._requests = Counter(
      "serving_requests", "Requests answered.", (*labels, "status"), registry=self._registry
    )
    self._seconds = self._histogram(
      "serving_request_seconds", "From a request's arrival to its answer.", labels, _SECONDS
    )
    self._examples = self._histogram(
      "serving_request_examples", "Candidates in a request.", labels, _EXAMPLES
    )
    self._queue_seconds = self._histogram(
      "serving_queue_seconds", "How long requests waited for the model.", ("model",), _SECONDS
    )
    self._run_examples = self._histogram(
      "serving_run_examples", "Candidates in one run of the model.", ("model",), _EXAMPLES
    )
    self._loaded = Gauge(
      "serving_version_loaded",
      "1 for versions that are served.",
      ("model", "version"),
      registry=self._registry,
    )
    self._failed_loads = Counter(
      "serving_failed_loads",
      "Versions that could not be loaded.",
      ("model",),
      registry=self._registry,
    )

  def _histogram(
    self, name: str, description: str, labels: Iterable[str], buckets: Iterable[float]
  ) -> Histogram:
    return Histogram(name, description, labels, buckets=buckets, registry=self._registry)

  def observe_request(
    self, model: str, signature: str, api: str, status: str, seconds: float, examples: int
  ) -> None:
    """Counts a request.

    Args:
      model: as the request has it.
      signature: as the request has it.
      api: grpc or rest.
      status: OK, or the name of the code.
      seconds: from its arrival to its answer.
      examples: how many candidates it had; 0 when it was not understood.
    """
    if (model, signature) not in self._known:
      signature = _UNKNOWN
      model = model if any(model == known for known, _ in self._known_pairs()) else _UNKNOWN
    self._requests.labels(model, signature, api, status).inc()
    self._seconds.labels(model, signature, api).observe(seconds)
    if examples:
      self._examples.labels(model, signature, api).observe(examples)

  def observe_queue(self, model: str, seconds: float) -> None:
    """Notes how long a request waited before the model worked on it."""
    self._queue_seconds.labels(model).observe(seconds)

  def observe_run(self, model: str, examples: int) -> None:
    """Notes how many candidates one run of the model had, of all requests it joined."""
    self._run_examples.labels(model).observe(examples)

  def set_loaded(self, model: str, version: int, signatures: Iterable[str] = ()) -> None:
    """Notes that a version is served, and which names requests may bear."""
    with self._lock:
      self._known |= {(model, signature) for signature in signatures}
    self._loaded.labels(model, str(version)).set(1)

  def set_unloaded(self, model: str, version: int) -> None:
    """Forgets a version that is no longer served."""
    try:
      self._loaded.remove(model, str(version))
    except KeyError:
      pass  # It was never served.

  def count_failed_load(self, model: str) -> None:
    """Counts a version that could not be loaded."""
    self._failed_loads.labels(model).inc()

  def render(self) -> tuple[bytes, str]:
    """Returns everything in Prometheus' text format, and its content type."""
    return exposition.generate_latest(self._registry), exposition.CONTENT_TYPE_LATEST

  def _known_pairs(self) -> tuple[tuple[str, str], ...]:
    with self._lock:
      return tuple(self._known)
