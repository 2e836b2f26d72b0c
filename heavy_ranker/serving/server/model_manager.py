"""All models of a server: finds, loads and swaps their versions, and hands them to requests."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Optional

import tensorflow as tf
from absl import logging
from tensorflow_serving.config import model_server_config_pb2

from heavy_ranker.serving.export_files import default_export_dir
from heavy_ranker.serving.server.execution import Execution
from heavy_ranker.serving.server.freed_memory import give_back
from heavy_ranker.serving.server.model_config import ModelSettings, from_proto, read_model_config
from heavy_ranker.serving.server.model_versions import ModelVersions
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.served_model import LoadedVersion, load_version
from heavy_ranker.serving.server.settings import ServerSettings
from heavy_ranker.serving.server.telemetry import Telemetry
from heavy_ranker.serving.server.version_folders import SAVED_MODEL_FILE
from heavy_ranker.serving.server.version_status import VersionStatus
from heavy_ranker.serving.server.warm_up import warm_up
from tfrecords import command_hints, paths
from tfrecords.errors import ConfigError, StorageError


class ModelManager:
  """The models of a server.

  Args:
    settings: which models, and how.
    telemetry: is told what is loaded and how long requests wait; by default a new one.

  Raises:
    UserError: the model or batching configuration cannot be used.
  """

  def __init__(self, settings: ServerSettings, telemetry: Optional[Telemetry] = None):
    self._settings = settings
    self._telemetry = telemetry or Telemetry()
    self._configured = _configured_models(settings)
    self._execution = Execution(settings, self._telemetry)
    self._models = {model.name: self._make(model) for model in self._configured}
    self._updating = threading.Lock()
    self._stopping = threading.Event()
    self._pollers: list[threading.Thread] = []

  def start(self) -> None:
    """Loads what there is, and starts to look for new versions.

    Raises:
      StorageError: a model has no version that can be served.
    """
    for versions in self._models.values():
      _load_first(versions)
    give_back()
    self._poll(self.poll_once, self._settings.file_system_poll_wait_seconds)
    if self._settings.model_config_file:
      self._poll(self._read_config_again, self._settings.model_config_file_poll_wait_seconds)

  def stop(self) -> None:
    """Stops looking, answers the requests that wait, and lets go of all models."""
    self._stopping.set()
    for poller in self._pollers:
      poller.join()
    self._execution.stop()
    for versions in self._models.values():
      versions.retire_all()

  @contextlib.contextmanager
  def resolve(
    self, name: str, version: Optional[int] = None, label: Optional[str] = None
  ) -> Iterator[LoadedVersion]:
    """Yields a version that stays in memory meanwhile.

    Args:
      name: the model's.
      version: its number; the newest one served when None.
      label: instead of the number.

    Raises:
      RequestError: NOT_FOUND: no such model, version or label is served.
    """
    with self._find(name).resolve(version, label) as loaded:
      yield loaded

  def status(
    self, name: str, version: Optional[int] = None, label: Optional[str] = None
  ) -> list[VersionStatus]:
    """Returns the state of one version of a model, or of all, the newest first.

    Raises:
      RequestError: NOT_FOUND: there is and was no such model, version or label.
    """
    versions = self._find(name)
    return versions.statuses(version if label is None else versions.version_of(label))

  def names(self) -> list[str]:
    """Returns the models' names, sorted."""
    return sorted(self._models)

  def reload(self, config: model_server_config_pb2.ModelServerConfig) -> None:
    """Serves the models of another configuration: all of them, or everything stays as it is.

    Raises:
      UserError: the configuration cannot be used, or a model has no version that can be served.
    """
    self._serve(from_proto(config, "the configuration"))

  def poll_once(self) -> None:
    """Looks for new versions of all models, now."""
    with self._updating:
      for versions in self._models.values():
        versions.update()

  def _read_config_again(self) -> None:
    models = read_model_config(self._settings.model_config_file)
    if models != self._configured:
      # Whatever comes of it: the same file is not tried twice.
      self._configured = models
      self._serve(models)

  def _serve(self, models: Sequence[ModelSettings]) -> None:
    with self._updating:
      fresh = {model.name: self._make(model) for model in models if self._is_new(model)}
      try:
        for versions in fresh.values():
          _load_first(versions)
      except StorageError:
        for versions in fresh.values():
          versions.retire_all()
        raise
      self._replace_models(models, fresh)

  def _replace_models(
    self, models: Sequence[ModelSettings], fresh: dict[str, ModelVersions]
  ) -> None:
    before = self._models
    self._models = {model.name: fresh.get(model.name) or before[model.name] for model in models}
    for model in models:
      versions = self._models[model.name]
      versions.settings = model
      versions.update()
    for name, versions in before.items():
      if self._models.get(name) is not versions:
        versions.retire_all()

  def _is_new(self, model: ModelSettings) -> bool:
    known = self._models.get(model.name)
    return known is None or known.settings.base_path != model.base_path

  def _make(self, model: ModelSettings) -> ModelVersions:
    return ModelVersions(model, self._load, self._telemetry)

  def _load(self, name: str, version: int, folder: str) -> LoadedVersion:
    loaded = load_version(name, version, folder, self._execution)
    if self._settings.enable_model_warmup:
      warm_up(loaded, folder, self._settings.max_request_bytes)
    return loaded

  def _find(self, name: str) -> ModelVersions:
    if not name:
      raise RequestError(Code.INVALID_ARGUMENT, "model_spec.name: found nothing, allowed: a name")
    models = self._models
    if name not in models:
      raise RequestError(
        Code.NOT_FOUND, f"model {name!r} is not served; there are: {', '.join(sorted(models))}"
      )
    return models[name]

  def _poll(self, action: Callable[[], None], seconds: float) -> None:
    """Does something again and again on a thread of its own, unless `seconds` is 0."""
    if seconds > 0:
      arguments = (action, seconds)
      poller = threading.Thread(target=self._repeat, args=arguments, name="poll", daemon=True)
      self._pollers.append(poller)
      poller.start()

  def _repeat(self, action: Callable[[], None], seconds: float) -> None:
    problem = ""
    while not self._stopping.wait(seconds):
      try:
        action()
        problem = ""
      except Exception as error:  # noqa: BLE001 - the next time may go well, and requests go on.
        if str(error) != problem:
          logging.error("%s; what is served stays as it is", error)
        problem = str(error)


def _configured_models(settings: ServerSettings) -> tuple[ModelSettings, ...]:
  if settings.model_config_file:
    return read_model_config(settings.model_config_file)
  if not settings.model_name or "/" in settings.model_name:
    raise ConfigError(f"--model_name: found {settings.model_name!r}, allowed: a name, without /")
  base_path = paths.resolve(settings.model_base_path or default_export_dir(), "--model_base_path")
  return (ModelSettings(settings.model_name, base_path),)


def _load_first(versions: ModelVersions) -> None:
  """Loads a model's versions for the first time; there has to be one."""
  model = versions.settings
  way_out = (
    f"Write a version with {command_hints.command('heavy_ranker', 'export')}, or name another "
    "folder with --model_base_path"
  )
  if not tf.io.gfile.isdir(model.base_path):
    problem = "is no folder" if tf.io.gfile.exists(model.base_path) else "is missing"
    raise StorageError(f"model {model.name!r}: the folder {model.base_path} {problem}. {way_out}")
  versions.update()
  if not versions.available:
    if tf.io.gfile.exists(os.path.join(model.base_path, SAVED_MODEL_FILE)):
      raise StorageError(
        f"model {model.name!r}: {model.base_path} is a version itself, allowed: the folder above it"
      )
    problems = [status.error for status in versions.statuses() if status.error]
    found = "\n  ".join(problems) or "no folder whose name is a number (that the policy serves)"
    raise StorageError(
      f"model {model.name!r}: {model.base_path} has no version that can be served; found: {found}. "
      f"{way_out}"
    )
