"""Paths: relative to the caller, with every variable set, on local or remote file systems."""

import os
import re

from tfrecords import remote_storage
from tfrecords.errors import ConfigError

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
_SCHEME = re.compile(r"^(\w+)://")


def resolve(path: str, key: str) -> str:
  """Returns a path ready to open.

  A relative path means the folder in which the user typed the command, also under `bazel run`.
  A remote path (`s3://`, `http://`, `az://`, `hdfs://` ...) makes tensorflow-io register its file
  systems.

  Args:
    path: as the user gave it.
    key: the configuration key or flag it comes from, for the message.

  Raises:
    ConfigError: the path still holds an environment variable that is not set, or a NUL character.
  """
  if "\0" in path:
    raise ConfigError(f"{key}: found {path!r}, allowed: a path without a NUL character")
  unset = _VARIABLE.search(path)
  if unset:
    name = unset.group(1).strip("{}")
    way_out = f"{key}=PATH" if key.startswith("--") else f"--set {key}=PATH"
    raise ConfigError(
      f"{key}: {path!r} needs the environment variable {name}, which is not set. Set it, or give "
      f"the path with {way_out}"
    )
  scheme = _SCHEME.match(path)
  if scheme is None:
    return os.path.abspath(os.path.join(caller_directory(), os.path.expanduser(path)))
  remote_storage.register(scheme.group(1))
  return path


def is_remote(path: str) -> bool:
  """Returns whether a resolved path lies elsewhere than in this machine's file system."""
  return "://" in path


def caller_directory() -> str:
  """Returns the folder in which the user typed the command."""
  return os.environ.get("BUILD_WORKING_DIRECTORY") or os.getcwd()


def workspace_directory() -> str:
  """Returns the root of the checkout, also when Bazel runs a copy of the sources."""
  return os.environ.get("BUILD_WORKSPACE_DIRECTORY") or package_root()


def package_root() -> str:
  """Returns the folder that holds the packages `tfrecords` and `heavy_ranker` and `configs`."""
  return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
