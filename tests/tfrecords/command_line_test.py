"""Tests of `tfrecords.command_line`: what a user sees of a command, and its exit code."""

import os
import subprocess
import sys

import pytest

from tfrecords import errors, paths

COMMAND = """
import sys
from tfrecords import command_line, errors, paths

def command():
  print("path", command_line.config_path())
  print("default", command_line.is_default_config())
  print("overrides", command_line.overrides())
  {body}

if __name__ == "__main__":
  command_line.run(command, "Does what the test says.")
"""


@pytest.fixture(name="run")
def run_fixture(tmp_path):
  """Runs a command with a body and arguments; returns what came of it."""

  def run(*arguments, body="pass", **environment):
    script = tmp_path / "command.py"
    script.write_text(COMMAND.format(body=body))
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    variables.pop("BUILD_WORKING_DIRECTORY", None)
    return subprocess.run(
      [sys.executable, str(script), *arguments],
      cwd=tmp_path,
      env=variables,
      capture_output=True,
      text=True,
      timeout=120,
    )

  return run


def test_success(run, tmp_path):
  result = run("--config_path=my.yaml", "--set", "a.b=1", "--set=c=[1, 2]")
  assert (result.returncode, result.stderr) == (0, "")
  assert f"path {tmp_path / 'my.yaml'}\n" in result.stdout
  assert "default False\n" in result.stdout
  assert "overrides ('a.b=1', 'c=[1, 2]')\n" in result.stdout


def test_defaults(run):
  result = run()
  assert result.returncode == 0
  default = os.path.join(paths.package_root(), "configs", "local_prod.yaml")
  assert f"path {default}\n" in result.stdout
  assert "default True\n" in result.stdout
  assert "overrides ()\n" in result.stdout


@pytest.mark.parametrize(
  "error, code",
  [
    (errors.ConfigError, 2),
    (errors.DataError, 3),
    (errors.StorageError, 4),
    (errors.CheckpointError, 5),
    (errors.TrainingError, 6),
    (errors.NothingNewError, 7),
    (errors.PrecisionError, 8),
  ],
)
def test_an_error_the_user_can_mend(run, error, code):
  result = run(body=f'raise errors.{error.__name__}("part-0: é is bad.\\nMend it")')
  assert result.returncode == code == error.exit_code
  assert result.stderr == "error: part-0: é is bad.\nMend it\n"


def test_a_message_that_the_terminal_cannot_show(run):
  result = run(body='raise errors.DataError("é: \\udcff")', PYTHONIOENCODING="ascii")
  assert result.returncode == 3
  assert result.stderr == "error: \\xe9: \\udcff\n"


def test_a_defect_of_the_program(run):
  result = run(body='raise ValueError("a defect")')
  assert result.returncode == 1
  assert "Traceback" in result.stderr
  assert "ValueError: a defect" in result.stderr


def test_an_interrupt(run):
  result = run(body="raise KeyboardInterrupt")
  assert result.returncode == 130
  assert result.stderr == "\ninterrupted\n"


@pytest.mark.parametrize(
  "argument, words",
  [
    ("--confg_path=x", "Unknown command line flag 'confg_path'. Did you mean: config_path"),
    ("--config_path", "Missing value for flag --config_path"),
  ],
)
def test_a_bad_flag(run, argument, words):
  result = run(argument)
  assert result.returncode == 2
  assert result.stderr.startswith(f"error: {words}")
  assert result.stderr.endswith("(see --help)\n")
  assert result.stdout == ""


def test_an_argument_too_many(run):
  result = run("my.yaml")
  assert result.returncode == 2
  assert result.stderr == (
    "error: found 'my.yaml', allowed: flags such as --config_path=PATH (see --help)\n"
  )


def test_an_unset_variable_in_the_path(run):
  result = run("--config_path=$NO_SUCH_PLACE/my.yaml")
  assert result.returncode == 2
  assert "error: --config_path: '$NO_SUCH_PLACE/my.yaml' needs" in result.stderr
  assert "Set it, or give the path with --config_path=PATH" in result.stderr


def test_help(run):
  result = run("--help")
  assert result.returncode == 0
  assert "Does what the test says." in result.stdout
  assert "--config_path" in result.stdout
  assert "--set" in result.stdout
  assert run("--helpfull").returncode == 0
