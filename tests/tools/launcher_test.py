import os
import pathlib
import subprocess
import sys

import pytest

from tools import launcher


@pytest.fixture
def script(tmp_path):
  """A script beside a module that bears the name of one of Python's own."""
  (tmp_path / "json.py").write_text("raise ImportError('the neighbour was imported')\n")
  path = tmp_path / "script.py"
  path.write_text(
    '"""About."""\n'
    "import json, os, pickle, sys\n"
    "class Thing: pass\n"
    "assert __name__ == '__main__' and sys.modules['__main__'].__doc__ == 'About.'\n"
    "assert isinstance(pickle.loads(pickle.dumps(Thing())), Thing)\n"
    "print(json.dumps([__file__, sys.argv]))\n"
    "sys.exit(int(sys.argv[-1]))\n"
  )
  return path


def _run(*arguments):
  return subprocess.run(
    [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
  )


def test_neighbours_do_not_shadow_other_modules(script):
  assert "the neighbour was imported" in _run(script, 0).stderr
  result = _run(launcher.__file__, script, "--flag", 0)
  assert result.returncode == 0, result.stderr
  assert result.stdout.strip() == f'["{script}", ["{script}", "--flag", "0"]]'


def test_exit_code_is_the_scripts(script):
  assert _run(launcher.__file__, script, 3).returncode == 3


def test_traceback_names_the_line_of_the_script(script):
  stderr = _run(launcher.__file__, script, "no number").stderr
  assert f'File "{script}", line 7' in stderr
  assert "sys.exit(int(sys.argv[-1]))" in stderr


@pytest.mark.skipif("TEST_SRCDIR" not in os.environ, reason="not under Bazel")
def test_bazel_uses_it():
  main = pathlib.Path(sys.modules["__main__"].__file__)
  assert main.name == "pytest_main.py"
  assert not {str(main.parent), str(main.resolve().parent)} & set(sys.path)
