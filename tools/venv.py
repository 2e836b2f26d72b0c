"""Runs a command that is installed in the virtualenv Bazel made.

  ./bazelw run //tools:venv -- tensorboard --logdir=LOGS
  ./bazelw run //tools:venv -- saved_model_cli show --all --dir=EXPORT
  ./bazelw run //tools:venv -- python

It runs in the folder this is typed in.
"""

import os
import pathlib
import sys


def main(argv: list[str]) -> None:
  """Becomes the command; returns only by an exit.

  Args:
    argv: the command and its arguments.
  """
  folder = pathlib.Path(sys.executable).parent
  if not argv or not (folder / argv[0]).exists():
    names = sorted(path.name for path in folder.iterdir() if not path.suffix)
    sys.exit(f"{__doc__}\nCommands: {', '.join(names)}")
  os.environ.pop("PYTHONPATH", None)
  os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
  os.execv(folder / argv[0], [str(folder / argv[0]), *argv[1:]])


if __name__ == "__main__":
  main(sys.argv[1:])
