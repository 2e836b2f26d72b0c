"""The versions of one model: which are in memory, which come and which go."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from absl import logging

from heavy_ranker.serving.server.freed_memory import give_back
from heavy_ranker.serving.server.model_config import ModelSettings
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.served_model import LoadedVersion
from heavy_ranker.serving.server.telemetry import Telemetry
from heavy_ranker.serving.server.version_folders import find_versions, fingerprint
from heavy_ranker.serving.server.version_status import State, VersionStatus
from tfrecords.errors import StorageError, reason

# Of versions that are gone, so many are still told of.
_REMEMBERED = 20

Load = Callable[[str, int, str], LoadedVersion]


@dataclass
class _Served:
  """A version in memory, and how many requests hold it."""

  loaded: LoadedVersion
  references: int = 0
  retired: bool = False


class ModelVersions:
  """Brings the versions in memory in line with those on disk; safe for threads.

  `update` is called by one thread at a time; requests go on meanwhile.

  Args:
    settings: the model's folder, policy and labels; may be replaced before an `update`.
    load: loads and warms a version, given model name, number and folder; raises anything.
    telemetry: is told what is loaded.
  """

  def __init__(self, settings: ModelSettings, load: Load, telemetry: Telemetry):
    self.settings = settings
    self._load = load
    self._telemetry = telemetry
    self._lock = threading.Lock()
    self._served: dict[int, _Served] = {}
    self._statuses: dict[int, VersionStatus] = {}
    self._failed: dict[int, tuple] = {}
    self._last_problem = ""

  @property
  def available(self) -> tuple[int, ...]:
    """The numbers of the versions that are served, in ascending order."""
    with self._lock:
      return tuple(sorted(self._served))

  def update(self) -> None:
    """Looks for versions: loads those that are missing, then lets go those no longer wanted.

    A version that cannot be loaded is left out, as if it were not there, until its files change.
    What is served stays so while there is nothing in its place, whatever happens to the folder.
    """
    try:
      folders = find_versions(self.settings.base_path)
    except StorageError as error:
      self._tell_once(f"model {self.settings.name!r}: {error}")
      return
    self._last_problem = ""
    self._failed = {
      version: known
      for version, known in self._failed.items()
      if version in folders and fingerprint(folders[version]) == known
    }
    wanted = self._load_missing(folders)
    if wanted:
      self._retire(version for version in self.available if version not in wanted)

  def retire_all(self) -> None:
    """Lets go of every version; requests that are under way are answered."""
    self._retire(self.available)

  @contextlib.contextmanager
  def resolve(
    self, version: Optional[int] = None, label: Optional[str] = None
  ) -> Iterator[LoadedVersion]:
    """Yields a version that stays in memory meanwhile; the newest if nothing is asked for.

    Raises:
      RequestError: NOT_FOUND.
    """
    if label is not None:
      version = self.version_of(label)
    with self._lock:
      served = self._find(version)
      served.references += 1
    try:
      yield served.loaded
    finally:
      with self._lock:
        served.references -= 1
        is_last = served.retired and not served.references
      if is_last:
        self._close(served)

  def version_of(self, label: str) -> int:
    """Returns the version a label stands for.

    Raises:
      RequestError: NOT_FOUND: there is no such label.
    """
    labels = self.settings.labels
    if label not in labels:
      raise RequestError(
        Code.NOT_FOUND,
        f"model {self.settings.name!r}: no label {label!r}; there are: "
        f"{', '.join(sorted(labels)) or 'none'}",
      )
    return labels[label]

  def statuses(self, version: Optional[int] = None) -> list[VersionStatus]:
    """Returns the state of one version or of all, the newest first.

    Raises:
      RequestError: NOT_FOUND: there is and was no such version.
    """
    with self._lock:
      found = dict(self._statuses)
    if version is not None and version not in found:
      raise self._not_found(version)
    return [found[number] for number in sorted(found, reverse=True) if version in (None, number)]

  def _load_missing(self, folders: Mapping[int, str]) -> tuple[int, ...]:
    """Loads until what is wanted, of what can be loaded, is there; returns that."""
    while True:
      usable = [version for version in folders if version not in self._failed]
      wanted = self.settings.policy.choose(usable)
      missing = [version for version in wanted if version not in self.available]
      if not missing:
        return wanted
      for version in missing:
        self._load_one(version, folders[version])

  def _load_one(self, version: int, folder: str) -> None:
    name = self.settings.name
    self._set_status(VersionStatus(version, State.LOADING))
    before = fingerprint(folder)
    try:
      loaded = self._load(name, version, folder)
    except Exception as error:  # noqa: BLE001 - a broken export raises anything.
      message = f"{folder} cannot be served: {reason(error)}"
      self._failed[version] = before
      self._set_status(VersionStatus(version, State.END, message))
      self._telemetry.count_failed_load(name)
      logging.error("model %r: %s; left out until its files change", name, message)
      return
    self._telemetry.set_loaded(name, version, loaded.signatures)
    with self._lock:
      self._served[version] = _Served(loaded)
    self._set_status(VersionStatus(version, State.AVAILABLE))
    logging.info("model %r: version %d is served", name, version)

  def _retire(self, versions: Iterator[int]) -> None:
    for version in versions:
      self._set_status(VersionStatus(version, State.UNLOADING))
      self._telemetry.set_unloaded(self.settings.name, version)
      with self._lock:
        served = self._served.pop(version)
        served.retired = True
        is_free = not served.references
      if is_free:
        self._close(served)

  def _close(self, served: _Served) -> None:
    served.loaded.close()
    version = served.loaded.version
    if version not in self.available:
      self._set_status(VersionStatus(version, State.END))
    logging.info("model %r: version %d is unloaded", self.settings.name, version)
    # No request shall wait for that, but the end of the process does: a thread that ends inside
    # TensorFlow's destructors aborts it.
    threading.Thread(target=give_back, name="unload", daemon=False).start()

  def _find(self, version: Optional[int]) -> _Served:
    if version is None and self._served:
      version = max(self._served)
    if version not in self._served:
      raise self._not_found(version)
    return self._served[version]

  def _not_found(self, version: Optional[int]) -> RequestError:
    status = self._statuses.get(version)
    why = f" ({status.error})" if status is not None and status.error else ""
    wanted = "version" if version is None else f"version {version}"
    served = ", ".join(map(str, sorted(self._served))) or "none"
    return RequestError(
      Code.NOT_FOUND, f"model {self.settings.name!r}: no {wanted}{why}; served: {served}"
    )

  def _set_status(self, status: VersionStatus) -> None:
    with self._lock:
      self._statuses.pop(status.version, None)
      self._statuses[status.version] = status
      ended = [known for known, each in self._statuses.items() if each.state is State.END]
      for version in ended[:-_REMEMBERED]:
        del self._statuses[version]

  def _tell_once(self, problem: str) -> None:
    if problem != self._last_problem:
      logging.error("%s", problem)
    self._last_problem = problem
