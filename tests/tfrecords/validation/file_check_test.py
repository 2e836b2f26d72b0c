"""A file damaged anywhere is reported, never fatal, and what is whole in it is still counted."""

import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tfrecords import schema
from tfrecords.config.checks import DataChecks
from tfrecords.validation.duplicates import Duplicates
from tfrecords.validation.file_check import FileChecker
from tfrecords.validation.findings import exit_code, findings_of
from tfrecords.validation.subject import Subject

RECORDS = [record_files.record(index, spare=[0.5, float(index)]) for index in range(6)]
PLAIN = record_files.plain_bytes(RECORDS)
WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}
CONTENT = {name: record_files.compress(PLAIN, name) for name in ("", "GZIP", "ZLIB")}
ENDS = [len(record_files.plain_bytes(RECORDS[:count])) for count in range(1, len(RECORDS))]

compressions = st.sampled_from(sorted(CONTENT))
fuzz = settings(
  max_examples=40,
  deadline=None,
  derandomize=True,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module", name="check")
def check_fixture(tmp_path_factory):
  """Writes a file and returns its report and its findings."""
  folder = tmp_path_factory.mktemp("records")
  features = schema.load_schema(str(record_files.write_schema(folder)))
  labels = ("is_liked", "is_replied")
  subject = Subject("test", (), features, labels, False, DataChecks(), ("meta.author_id",), {})
  checker = FileChecker(subject)

  def check(content):
    path = folder / "file.tfrecord"
    path.write_bytes(content)
    report = checker.check(0, str(path)).report
    findings = findings_of(subject, [report], Duplicates())
    assert all(finding.path in ("", str(path)) for finding in findings)
    return report, findings

  return check


@pytest.mark.parametrize("compression", sorted(CONTENT))
def test_undamaged(check, compression):
  report, findings = check(CONTENT[compression])
  assert (report.n_records, report.n_readable, findings) == (6, 6, [])
  assert report.compression == compression


def is_harmless(content, compression):
  """Tells whether changed bytes still mean the same, such as a gzip header's time."""
  try:
    stream = zlib.decompressobj(WINDOW_BITS[compression])
    return stream.decompress(content) == PLAIN and stream.eof
  except zlib.error:
    return False


@given(compression=compressions, data=st.data())
@fuzz
def test_a_changed_byte_anywhere_is_an_error(check, compression, data):
  content = bytearray(CONTENT[compression])
  position = data.draw(st.integers(0, len(content) - 1))
  content[position] ^= data.draw(st.integers(1, 255))
  report, findings = check(bytes(content))
  if compression and is_harmless(bytes(content), compression):
    assert report.n_readable == 6
  else:
    assert exit_code(findings) == 3
  if compression == "":
    assert report.n_readable >= 4, "one record, or with a wrong length two"


@given(compression=compressions, data=st.data())
@fuzz
def test_a_file_cut_anywhere_is_an_error(check, compression, data):
  size = data.draw(st.integers(0, len(CONTENT[compression]) - 1))
  report, findings = check(CONTENT[compression][:size])
  if compression == "" and size in ENDS:  # Nothing tells such a file from a whole one.
    assert not findings
  else:
    assert exit_code(findings) == 3
  if compression == "":
    assert report.n_readable == sum(end <= size for end in ENDS)


@given(content=st.binary(max_size=300))
@fuzz
def test_anything_at_all_is_an_error(check, content):
  report, findings = check(content)
  assert exit_code(findings) == 3 and report.n_records == 0


@given(serialized=st.binary(min_size=1, max_size=60), position=st.integers(0, 6))
@fuzz
def test_any_bytes_as_a_record_cost_only_that_record(check, serialized, position):
  records = [*RECORDS[:position], serialized, *RECORDS[position:]]
  report, findings = check(record_files.plain_bytes(records))
  assert exit_code(findings) == 3
  assert report.n_records == 7 and report.n_readable in (6, 7)
  labels = report.labels["is_liked"]
  assert (labels.positives, labels.negatives) == (3, 3)
  place = findings[0].places[0]
  assert place.record == position
  assert place.offset == len(record_files.plain_bytes(records[:position]))


@given(data=st.data())
@fuzz
def test_a_changed_record_with_a_matching_checksum_never_stops_the_others(check, data):
  changed = bytearray(RECORDS[3])
  changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
  report, _ = check(record_files.plain_bytes([*RECORDS[:3], bytes(changed), *RECORDS[4:]]))
  assert report.n_records == 6 and report.n_readable >= 5


@pytest.mark.parametrize("size", [12, 20, 5])
def test_a_large_file_cut_in_or_behind_a_header_is_no_shorter_file(check, size):
  whole = record_files.plain_bytes(RECORDS[:1] * 2000)
  length = len(record_files.plain_bytes(RECORDS[:1]))
  report, findings = check(whole[: 1500 * length + size])
  assert len(whole) > 256 * 1024 and report.n_readable == 1500
  assert [finding.kind for finding in findings] == ["cut_short"]
  assert findings[0].places[0].offset == 1500 * length


def test_several_gzip_members_are_fine_unless_one_is_damaged(check):
  member = CONTENT["GZIP"]
  assert check(member + member)[0].n_readable == 12 and not check(member + member)[1]
  half = len(member) // 2
  report, findings = check(member[:half] + member)
  assert report.n_readable >= 6 and "bad_compression" in {finding.kind for finding in findings}
  assert exit_code(check(member + b"junk")[1]) == 3
