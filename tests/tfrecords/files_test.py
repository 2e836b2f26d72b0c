"""Tests of `tfrecords.files`: whole or not at all, here and elsewhere."""

import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from tfrecords import files, paths
from tfrecords.errors import StorageError

MEMORY = "ram://files_test"


@pytest.fixture(params=["here", "elsewhere"], name="folder")
def folder_fixture(request, tmp_path):
  if request.param == "here":
    return str(tmp_path)
  folder = f"{MEMORY}/{tmp_path.name}"
  tf.io.gfile.makedirs(folder)
  return folder


def read(path):
  with tf.io.gfile.GFile(path, "rb") as file:
    return file.read()


def test_bytes_and_text_replace_what_was_there(folder):
  path = os.path.join(folder, "file")
  for content, expected in ((b"\0\xff", b"\0\xff"), ("ü\n", b"\xc3\xbc\n"), (b"", b"")):
    files.write(path, content, "Write elsewhere")
    assert read(path) == expected
  assert files.names_in(folder) == ["file"]


def test_a_missing_folder_is_made_on_demand(tmp_path):
  path = str(tmp_path / "new" / "folder" / "file")
  with pytest.raises(StorageError, match="file: cannot be written: No such.* Write elsewhere$"):
    files.write(path, "text", "Write elsewhere")
  assert not list(tmp_path.iterdir())
  files.write(path, "text", "Write elsewhere", makes_folder=True)
  assert read(path) == b"text"


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_passes(folder, error):
  path = os.path.join(folder, "file")
  files.write(path, "earlier", "Write elsewhere")
  with pytest.raises(error), files.writing(path) as unfinished:
    with files.open_file(unfinished, "wb") as file:
      file.write(b"half")
    assert len(files.names_in(folder)) == 2
    raise error
  assert files.names_in(folder) == ["file"]
  assert read(path) == b"earlier"


def test_what_cannot_be_replaced_is_named_and_stays(tmp_path):
  (tmp_path / "taken").mkdir()
  with pytest.raises(StorageError, match="taken: cannot be written: Is a directory. Go away"):
    files.write(str(tmp_path / "taken"), "text", "Go away")
  assert files.names_in(str(tmp_path)) == ["taken"]


def test_a_name_that_no_glob_takes_and_no_two_writers_share(tmp_path):
  path = str(tmp_path / "part-0.gz")
  with files.writing(path) as one, files.writing(path) as other:
    for unfinished in (one, other):
      assert os.path.dirname(unfinished) == str(tmp_path)
      with open(unfinished, "w", encoding="utf-8") as file:
        file.write(unfinished)
    assert one != other
    assert not list(tmp_path.glob("*.gz"))
  # Whoever ends last has the file.
  assert read(path).decode() == one


_KILLED = """
import os, signal, sys
from tfrecords import files
with files.writing(sys.argv[1]) as unfinished:
  open(unfinished, "w").close()
  os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_found_by_its_files_name(tmp_path):
  names = ["a", "a.b"]
  for name in names:
    killed = subprocess.run(
      [sys.executable, "-c", _KILLED, str(tmp_path / name)],
      env={**os.environ, "PYTHONPATH": paths.package_root()},
      check=False,
    )
    assert killed.returncode == -signal.SIGKILL
  (tmp_path / ".a.1234.partial").touch()
  (tmp_path / "a").touch()
  assert len(os.listdir(tmp_path)) == 4
  files.remove_unfinished([str(tmp_path / "a"), str(tmp_path / "missing" / "file")])
  assert [name[:5] for name in files.names_in(str(tmp_path))] == [".a.12", ".a.b.", "a"]


def test_leftovers_elsewhere_are_removed_too(folder):
  path = os.path.join(folder, "file")
  with files.open_file(files.unfinished_name(path), "wb") as file:
    file.write(b"half")
  files.remove_unfinished([path])
  assert files.names_in(folder) == []


def test_names_are_sorted_and_a_missing_folder_has_none(folder):
  for name in "ba":
    files.make_folder(os.path.join(folder, name))
  assert files.names_in(folder) == ["a", "b"]
  assert files.names_in(os.path.join(folder, "missing")) == []


def test_files_here_do_without_tensorflow(tmp_path):
  code = (
    "import sys; from tfrecords import files; files.write(sys.argv[1], 'text', '');"
    "sys.exit('tensorflow' in sys.modules)"
  )
  subprocess.run(
    [sys.executable, "-c", code, str(tmp_path / "file")],
    env={**os.environ, "PYTHONPATH": paths.package_root()},
    check=True,
  )
  assert (tmp_path / "file").read_text() == "text"
