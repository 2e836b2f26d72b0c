"""Readers of configurations, schemas and records: success or a UserError, whatever they get."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import fuzz, fuzz_targets
from tfrecords.errors import DataError

# The command runs more of them: see docs/resilience.md.
_CASES = {"config": 60, "schema": 150, "record": 100, "file": 150, "pipeline": 4}


@pytest.mark.parametrize("name", sorted(_CASES))
def test_nothing_but_success_or_an_error_for_the_user(tmp_path, name):
  @given(number=st.integers(0, 2**32))
  @settings(
    max_examples=_CASES[name],
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
  )
  def run(number):
    outcome = fuzz.run_case(fuzz_targets.TARGETS[name], name, 0, number, str(tmp_path))
    assert outcome in ("success", "ConfigError", "DataError")

  run()


@pytest.mark.parametrize("name", ["config", "schema", "record", "file"])
def test_the_undamaged_case_succeeds(tmp_path, monkeypatch, name):
  class Still(random.Random):
    """Makes no changes where that can be chosen."""

    def choice(self, options):
      return options[0]

    def random(self):
      return 0.95

  if name == "record":
    monkeypatch.setattr(fuzz_targets, "_odd_example", fuzz_targets._example)
  fuzz_targets.TARGETS[name](Still(3), str(tmp_path))


def test_a_defect_is_told_with_its_case(monkeypatch):
  def defective(generator, folder):
    if generator.random() < 0.5:
      raise KeyError("what")
    raise DataError("bad")

  monkeypatch.setitem(fuzz_targets.TARGETS, "schema", defective)
  report = fuzz.fuzz(seed=1, n_cases=20, names=["schema"], seconds=30)
  counts = report["outcomes"]["schema"]
  assert counts["failure"] == report["num_failures"] == 20 - counts["DataError"] > 0
  assert "KeyError: 'what'" in report["failures"][0]["error"]
  again = fuzz.fuzz(1, 1, ["schema"], 30, first=report["failures"][0]["case"])
  assert again["num_failures"] == 1
  json.dumps(report)


def test_a_hang_is_a_failure(monkeypatch):
  def endless(generator, folder):
    while True:
      pass

  monkeypatch.setitem(fuzz_targets.TARGETS, "schema", endless)
  report = fuzz.fuzz(seed=1, n_cases=1, names=["schema"], seconds=1)
  assert "the case takes too long" in report["failures"][0]["error"]
