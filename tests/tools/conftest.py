import textwrap

import pytest


@pytest.fixture
def repository(tmp_path):
  """Writes a repository: called with the text of each file by its path, returns the root."""

  def write(files):
    for path, text in files.items():
      file = tmp_path / path
      file.parent.mkdir(parents=True, exist_ok=True)
      file.write_text(textwrap.dedent(text))
    return tmp_path

  return write
