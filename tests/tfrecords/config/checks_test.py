"""Tests of the section `checks`."""

import pytest

from tests.tfrecords.record_files import data_config
from tfrecords.config.checks import KINDS, DataChecks
from tfrecords.errors import ConfigError


def test_defaults():
  checks = DataChecks()
  severities = {kind: checks.severity_of(kind) for kind in KINDS}
  assert severities["bad_checksum"] == severities["label_rate"] == "error"
  assert severities["drift"] == severities["missing_feature"] == "warning"
  assert DataChecks(severity={"drift": "error"}).severity_of("drift") == "error"


@pytest.mark.parametrize(
  "checks, message",
  [
    ({"label_rates": {"is_liked": {"min": 0.5, "max": 0.1}}}, "min: found 0.5, allowed: at most"),
    ({"label_rates": {"is_liked": {"max": 1.5}}}, "label_rates.is_liked.max: found 1.5"),
    ({"label_rates": {"is_like": {}}}, "checks.label_rates: 'is_like' is not among"),
    ({"max_missing_share": True}, "max_missing_share: found True"),
    ({"max_non_finite_share": -1}, "max_non_finite_share: found -1"),
    ({"severity": {"drifts": "error"}}, "drifts"),
    ({"severity": {"drift": "fatal"}}, "severity.drift: found 'fatal'"),
    ({"drift": {"max_psi": 0}}, "drift.max_psi: found 0"),
    ({"duplicates": False}, "duplicates: unknown key, did you mean 'max_duplicate_share'"),
  ],
)
def test_mistakes_are_named(tmp_path, checks, message):
  with pytest.raises(ConfigError) as raised:
    data_config(tmp_path, checks=checks)
  assert message in str(raised.value)
