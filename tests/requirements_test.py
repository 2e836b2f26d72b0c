"""The direct pins, the lock and what is installed agree."""

import importlib.metadata
import os
import pathlib

import pytest
from packaging.requirements import Requirement

BAZEL_DATA = ["//:requirements.txt", "//:requirements_lock.txt"]

_ROOT = pathlib.Path(__file__).parents[1]
_PYTHONS = ("3.9", "3.10", "3.11", "3.12")


def _read(name):
  lines = (line.split(" #")[0].strip() for line in (_ROOT / name).read_text().splitlines())
  return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _pins(requirements, python):
  environment = {
    "python_version": python,
    "python_full_version": python + ".1",
    "sys_platform": "linux",
  }
  return {
    requirement.name.lower(): str(requirement.specifier)
    for requirement in requirements
    if requirement.marker is None or requirement.marker.evaluate(environment)
  }


@pytest.mark.parametrize("python", _PYTHONS)
def test_lock_holds_the_direct_pins(python):
  direct = _pins(_read("requirements.txt"), python)
  lock = _pins(_read("requirements_lock.txt"), python)
  assert {name: lock.get(name) for name in direct} == direct


@pytest.mark.parametrize("python", _PYTHONS)
def test_everything_is_pinned_to_one_version(python):
  for specifier in _pins(_read("requirements_lock.txt"), python).values():
    assert specifier.startswith("==") and "," not in specifier


@pytest.mark.skipif("TEST_SRCDIR" not in os.environ, reason="not in Bazel's own virtualenv")
def test_direct_pins_are_what_is_installed():
  for requirement in _read("requirements.txt"):
    if requirement.marker is not None and not requirement.marker.evaluate():
      continue
    assert importlib.metadata.version(requirement.name) in requirement.specifier, requirement


def test_each_direct_pin_says_why():
  lines = (_ROOT / "requirements.txt").read_text().splitlines()
  assert all("  # " in line for line in lines if "==" in line)
