"""Tests of `tfrecords.validation.findings`: bounds, severities, the exit code."""

import pytest

from tests.tfrecords.record_files import record
from tests.tfrecords.validation.validated import kinds, records, validated, write_records
from tfrecords.validation.findings import exit_code


def test_nothing_wrong(tmp_path):
  write_records(tmp_path, records(20), records(20, 20))
  found = validated(tmp_path)
  assert kinds(found) == [] and exit_code(found.findings) == 0
  assert (found.n_readable, found.labels["is_liked"].rate) == (40, 0.25)


@pytest.mark.parametrize(
  "bounds, expected",
  [({"min": 0.2, "max": 0.3}, []), ({"max": 0.2}, ["label_rate"]), ({"min": 0.3}, ["label_rate"])],
)
def test_label_rates_over_all_files(tmp_path, bounds, expected):
  write_records(tmp_path, records(40))
  found = validated(tmp_path, {"label_rates": {"is_liked": bounds}})
  assert [finding.kind for finding in found.findings if not finding.path] == expected
  if expected:
    assert found.findings[0].message.startswith("25.000% of 40 are positive, allowed: ")
    assert exit_code(found.findings) == 3


def test_a_file_s_label_rate_beyond_chance(tmp_path):
  never = [record(index, is_liked=[0]) for index in range(1000, 1100)]
  write_records(tmp_path, records(400), never, never[:4], records(4, 500))
  checks = {"label_rates": {"is_liked": {"min": 0.15}}, "max_duplicate_share": 1}
  found = validated(tmp_path, checks)
  assert [finding.path[-10:] for finding in found.findings] == ["1.tfrecord"]


def test_shares_of_missing_and_non_finite_values_by_file_and_feature(tmp_path):
  nan = [record(30 + i, cont_vals=[float("nan"), 1.0, 2.0, 3.0, 4.0]) for i in range(10)]
  write_records(tmp_path, records(20), nan, records(10, 50, spare=None))
  found = validated(tmp_path)
  assert kinds(found) == [
    ("warning", "non_finite", "cont_vals"),
    ("warning", "missing_feature", "spare"),
  ]
  assert [finding.count for finding in found.findings] == [10, 10]
  assert found.findings[0].message == "20.000%, allowed: at most 1.000%"
  assert found.non_finite["cont_vals"].tolist() == [10, 0, 0, 0, 0]
  assert exit_code(found.findings) == 11
  allowed = {"continuous": {"max_non_finite_share": 0.2}, "spare": {"max_missing_share": 1}}
  assert kinds(validated(tmp_path, {"features": allowed})) == []
  assert kinds(validated(tmp_path, {"max_missing_share": 1, "max_non_finite_share": 1})) == []


def test_unexpected_features_unless_allowed(tmp_path):
  write_records(tmp_path, records(3, planted__b=[0.5], other=[1]))
  assert kinds(validated(tmp_path)) == [
    ("warning", "unexpected_feature", "other"),
    ("warning", "unexpected_feature", "planted.b"),
  ]
  assert kinds(validated(tmp_path, {"allowed_features": ["planted.*", "oth?r"]})) == []


def test_labels_that_are_missing_or_wrong(tmp_path):
  bad = [record(50, is_liked=None), record(51, is_liked=[7]), record(52, is_liked=[-1])]
  write_records(tmp_path, [*records(8), *bad])
  found = validated(tmp_path)
  assert {finding.kind for finding in found.findings} == {"missing_label", "bad_label"}
  counts = found.labels["is_liked"]
  assert (counts.negatives, counts.positives, counts.others, counts.missing) == (6, 2, 2, 1)
  lenient = validated(tmp_path, missing_labels="zero")
  assert {finding.kind for finding in lenient.findings} == {"bad_label"}
  assert lenient.labels["is_liked"].negatives == 7


def test_duplicates_within_and_between_files(tmp_path):
  write_records(tmp_path, [*records(5), *records(1)], records(3, 3))
  found = validated(tmp_path)
  assert kinds(found) == [("warning", "duplicate_ids", "")]
  assert found.findings[0].count == 3
  assert [report.n_duplicates for report in found.reports] == [1, 2]
  assert "part-0.tfrecord: record 5, those of" in found.findings[0].message
  assert kinds(validated(tmp_path, {"max_duplicate_share": 0.34})) == []
  assert kinds(validated(tmp_path, {"id_features": []})) == []
  assert kinds(validated(tmp_path, {"id_features": ["meta.author_id", "user.lang"]})) == kinds(
    found
  )
  lacking = records(3, 20, meta__author_id=None)
  write_records(tmp_path / "other", lacking)
  allowed = {"max_missing_share": 1}
  assert kinds(validated(tmp_path / "other", allowed)) == [], "no ids are no duplicates"


@pytest.mark.parametrize(
  "severity, code",
  [("error", 3), ("warning", 11), ("ignore", 0)],
  ids=["error", "warning", "ignore"],
)
def test_severities(tmp_path, severity, code):
  write_records(tmp_path, records(3, spare=None))
  found = validated(tmp_path, {"severity": {"missing_feature": severity}})
  assert exit_code(found.findings) == code


def test_errors_come_first(tmp_path):
  write_records(tmp_path, records(3, spare=None), [record(9, is_liked=[2])])
  assert [severity for severity, *_ in kinds(validated(tmp_path))] == ["error", "warning"]
