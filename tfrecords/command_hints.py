"""Commands to try next, in the way the user started this one: with Bazel or without."""

import os


def command(package: str, name: str) -> str:
  """Returns how to run one of this project's commands, ready for flags to follow."""
  if _runs_under_bazel():
    return f"./bazelw run //{package}:{name} --"
  return f"python -m {package}.{name}"


def tool(name: str) -> str:
  """Returns how to run a program of the virtualenv, such as tensorboard."""
  return f"./bazelw run //tools:venv -- {name}" if _runs_under_bazel() else name


def _runs_under_bazel() -> bool:
  return "BUILD_WORKSPACE_DIRECTORY" in os.environ
