"""The sources are as ruff wants them; pyproject.toml has the rules."""

import pathlib
import subprocess
import sys

import pytest

from tools import python_sources

BAZEL_DATA = ["//:sources"]

_ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
  """A copy of the sources: Bazel hands out links, which ruff does not follow."""
  copy = tmp_path_factory.mktemp("sources")
  for path in ["pyproject.toml", *python_sources.find_paths(_ROOT)]:
    (copy / path).parent.mkdir(parents=True, exist_ok=True)
    (copy / path).write_bytes((_ROOT / path).read_bytes())
  return copy


@pytest.mark.parametrize(
  "arguments, repair",
  [
    (["check", "--output-format=concise"], "ruff check --fix"),
    (["format", "--diff"], "ruff format"),
  ],
  ids=["lint", "format"],
)
def test_ruff_has_nothing_to_say(sources, arguments, repair):
  command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--quiet", "."]
  result = subprocess.run(command, cwd=sources, capture_output=True, text=True)
  assert result.returncode == 0, f"to repair: {repair}\n{result.stdout}{result.stderr}"


def test_all_sources_are_seen(sources):
  assert (sources / "heavy_ranker/__init__.py").exists()
  assert (sources / "tests/style_test.py").exists()
