"""The BUILD files on disk are what the sources ask for."""

import pathlib

from tools import build_files

BAZEL_DATA = ["//:sources"]

_ROOT = pathlib.Path(__file__).parents[1]


def test_build_files_are_up_to_date(capfd):
  exit_code = build_files.main(["--check", f"--root={_ROOT}"])
  shown = "".join(capfd.readouterr())
  assert exit_code == 0, f"to repair: python -m tools.build_files\n{shown}"
