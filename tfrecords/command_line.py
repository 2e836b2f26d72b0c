"""What every command shares: `--config_path`, `--set`, readable errors, exit codes.

Exit codes: 0 success; 1 a defect of the program (with its traceback); 2 configuration or flags;
3 data; 4 storage; 5 checkpoint; 6 training; 7 waited in vain; 8 lower precision changes
the score too much; 9 a server refused or cannot be reached; 10 preempted by SIGTERM, the same
command goes on; 11 validation found warnings only; 12 another worker of the cluster was lost or
differs; 130 interrupted.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import app, flags, logging

from tfrecords import paths, remote_storage
from tfrecords.errors import ConfigError, Preempted, UserError

DEFAULT_CONFIG = "configs/local_prod.yaml"
# For tools/build_files.py.
BAZEL_DATA = ["//configs:all"]

_CONFIG_PATH = flags.DEFINE_string(
  "config_path",
  None,
  f"YAML configuration; relative to where you typed the command (default: {DEFAULT_CONFIG} of "
  "this checkout).",
)
_SET = flags.DEFINE_multi_string(
  "set",
  [],
  "Overrides one key of the configuration, dotted.key=yaml value; may be repeated, such as "
  "--set training.num_train_steps=100.",
)


def config_path() -> str:
  """Returns the absolute path of the configuration file to use."""
  if _CONFIG_PATH.value is None:
    return default_config_path()
  return paths.resolve(_CONFIG_PATH.value, "--config_path")


def default_config_path() -> str:
  """Returns the configuration file a command uses when none is given."""
  return os.path.join(paths.workspace_directory(), DEFAULT_CONFIG)


def is_default_config() -> bool:
  """Tells whether the user left --config_path out."""
  return _CONFIG_PATH.value is None


def overrides() -> tuple[str, ...]:
  """Returns the values of --set, in order."""
  return tuple(_SET.value)


def repeated_flags(more_overrides: Mapping[str, str]) -> str:
  """Returns the flags that make another command use the same configuration, quoted for a shell.

  Args:
    more_overrides: values to override besides those of --set, by dotted key.
  """
  arguments = []
  if not is_default_config():
    path = os.path.relpath(config_path(), paths.caller_directory())
    arguments.append(f"--config_path={shlex.quote(path)}")
  pairs = [*overrides(), *(f"{key}={value}" for key, value in more_overrides.items())]
  arguments += [f"--set {shlex.quote(pair)}" for pair in pairs]
  return " ".join(arguments)


def run(command: Callable[[], None], description: str) -> None:
  """Runs a command: parses flags, calls it, turns errors a user can mend into short messages.

  Args:
    command: the one function the command calls; flags are parsed by then.
    description: what `--help` says first.
  """

  def main(arguments: Sequence[str]) -> None:
    if not flags.FLAGS["verbosity"].present:
      logging.set_verbosity(logging.WARNING)
    try:
      if len(arguments) > 1:
        raise ConfigError(
          f"found {arguments[1]!r}, allowed: flags such as --config_path=PATH (see --help)"
        )
      command()
    except UserError as error:
      sys.stdout.flush()
      print(f"error: {error}", file=sys.stderr)
      sys.exit(error.exit_code)
    except Preempted as stop:
      sys.stdout.flush()
      print(f"preempted: {stop}", file=sys.stderr)
      sys.exit(stop.exit_code)
    except KeyboardInterrupt:
      print("\ninterrupted", file=sys.stderr)
      sys.exit(130)

  sys.modules["__main__"].__doc__ = description
  for flag in (_CONFIG_PATH, _SET):  # `--help` lists the main module's flags alone.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[flag.name])
  try:
    app.run(main, flags_parser=_parse_flags)
  except BaseException as end:
    remote_storage.will_exit(end.code if isinstance(end, SystemExit) else 1)
    raise


def _parse_flags(arguments: Sequence[str]) -> Sequence[str]:
  try:
    return flags.FLAGS(list(arguments))
  except (
    SystemExit
  ):  # Only --help and its like end here, with 1, although they did what they should.
    sys.exit(0)
  except flags.Error as error:
    print(f"error: {error} (see --help)", file=sys.stderr)
    sys.exit(ConfigError.exit_code)
