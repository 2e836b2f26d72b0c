import subprocess
import sys


def _run(*arguments, **options):
  command = [sys.executable, "-m", "tools.venv", *arguments]
  return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_runs_an_installed_command_and_hands_on_its_exit_code():
  result = _run("python", "-c", "print(6 * 7); raise SystemExit(3)")
  assert (result.stdout, result.returncode) == ("42\n", 3)


def test_lists_what_there_is():
  result = _run("no_such_command")
  assert result.returncode == 1
  assert "pytest" in result.stderr
