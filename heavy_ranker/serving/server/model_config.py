"""Which models are served from where, and which of their versions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tensorflow_serving.config import model_server_config_pb2

from heavy_ranker.serving.server import text_protos
from tfrecords import paths
from tfrecords.errors import ConfigError

_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class VersionPolicy:
  """Which of the versions there are shall be served.

  Attributes:
    latest: that many of the largest numbers; 0 for all versions.
    specific: these and no others, when there are any.
  """

  latest: int = 1
  specific: tuple[int, ...] = ()

  def choose(self, versions: Iterable[int]) -> tuple[int, ...]:
    """Returns those of `versions` to serve, in ascending order."""
    ordered = sorted(versions)
    if self.specific:
      return tuple(version for version in ordered if version in self.specific)
    return tuple(ordered[-self.latest :] if self.latest else ordered)


@dataclass(frozen=True)
class ModelSettings:
  """One model of the server.

  Attributes:
    name: what requests call it.
    base_path: the folder of its versions, absolute or remote.
    policy: which versions are served.
    labels: versions by label.
  """

  name: str
  base_path: str
  policy: VersionPolicy = VersionPolicy()
  labels: Mapping[str, int] = field(default_factory=dict)


def read_model_config(path: str) -> tuple[ModelSettings, ...]:
  """Reads --model_config_file.

  Raises:
    StorageError: the file cannot be read.
    ConfigError: it is no ModelServerConfig, or asks for something impossible; the message names
      the field.
  """
  flag = "--model_config_file"
  config = text_protos.read(path, model_server_config_pb2.ModelServerConfig(), flag)
  return from_proto(config, f"{flag}: {paths.resolve(path, flag)}")


def from_proto(
  config: model_server_config_pb2.ModelServerConfig, origin: str
) -> tuple[ModelSettings, ...]:
  """Returns the models of a ModelServerConfig.

  Args:
    config: from the file or from a request.
    origin: what to call it in messages.

  Raises:
    ConfigError: it asks for something impossible.
  """
  if config.WhichOneof("config") != "model_config_list":
    found = config.WhichOneof("config") or "nothing"
    raise ConfigError(f"{origin}: found {found}, allowed: model_config_list {{ config {{ ... }} }}")
  entries = config.model_config_list.config
  if not entries:
    raise ConfigError(f"{origin}: model_config_list: found no config, allowed: one or more")
  models = tuple(
    _model(entry, f"{origin}: model_config_list.config[{index}]")
    for index, entry in enumerate(entries)
  )
  names = [model.name for model in models]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise ConfigError(f"{origin}: found the name {twice[0]!r} twice, allowed: different names")
  return models


def _model(entry: model_server_config_pb2.ModelConfig, where: str) -> ModelSettings:
  for key in ("name", "base_path"):
    if not getattr(entry, key):
      raise ConfigError(f"{where}.{key}: found nothing, allowed: a value has to be given")
  if "/" in entry.name:
    raise ConfigError(f"{where}.name: found {entry.name!r}, allowed: a name without /")
  if entry.model_platform not in ("", _PLATFORM):
    raise ConfigError(
      f"{where}.model_platform: found {entry.model_platform!r}, allowed: {_PLATFORM!r}"
    )
  policy = _policy(entry.model_version_policy, f"{where}.model_version_policy")
  for label, version in entry.version_labels.items():
    if policy.specific and version not in policy.specific:
      raise ConfigError(
        f"{where}.version_labels: {label!r} stands for version {version}, which "
        f"model_version_policy does not serve; allowed: {', '.join(map(str, policy.specific))}"
      )
  base_path = paths.resolve(entry.base_path, f"{where}.base_path")
  return ModelSettings(entry.name, base_path, policy, dict(entry.version_labels))


def _policy(policy: object, where: str) -> VersionPolicy:
  choice = policy.WhichOneof("policy_choice")
  if choice == "all":
    return VersionPolicy(latest=0)
  if choice == "specific":
    versions = tuple(sorted(set(policy.specific.versions)))
    if not versions or versions[0] < 0:
      raise ConfigError(f"{where}.specific.versions: found {versions}, allowed: numbers from 0")
    return VersionPolicy(specific=versions)
  # As in TensorFlow Serving, 0 versions are as good as none said.
  return VersionPolicy(latest=(policy.latest.num_versions or 1) if choice else 1)
