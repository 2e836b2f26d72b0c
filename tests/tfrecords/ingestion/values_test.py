import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.errors import DataError
from tfrecords.ingestion import values
from tfrecords.ingestion.block import Block


def block(cells, kind=None):
  return Block(pa.record_batch({"x": pa.array(cells, kind)}), "table", lambda: 11)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(width=32, allow_infinity=False)), min_size=1))
def test_a_number_written_as_text_is_that_number(cells):
  texts = [None if cell is None else repr(cell) for cell in cells]
  expected = np.array([np.nan if cell is None else cell for cell in cells])
  for kind, of in ((pa.float64(), cells), (pa.string(), texts)):
    found = values.floats(block(of, kind), "x", "nan", "error")
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_ids_are_exact_in_every_type(cells):
  for kind, of in ((pa.int64(), cells), (pa.string(), list(map(str, cells)))):
    assert values.integers(block(of, kind), "x", "error").tolist() == cells


@pytest.mark.parametrize(
  ("cells", "kind", "expected"),
  [
    ([1, None], pa.int8(), [1, 7]),
    ([2**63 - 1], pa.uint64(), [2**63 - 1]),
    ([3.0, float("nan")], pa.float32(), [3, 7]),
    ([" 4 ", "+5", ""], pa.string(), [4, 5, 7]),
    ([True, False], None, [1, 0]),
    ([decimal.Decimal("6")], None, [6]),
    ([None], pa.null(), [7]),
    (["8"], pa.dictionary(pa.int8(), pa.string()), [8]),
    (["8"], pa.large_string(), [8]),
    ([9], pa.timestamp("s"), [9]),
  ],
)
def test_whole_numbers_of_every_type(cells, kind, expected):
  assert values.integers(block(cells, kind), "x", 7).tolist() == expected


@pytest.mark.parametrize(
  ("cells", "kind", "found"),
  [
    (["1", "9223372036854775808"], None, "row 12, column 'x': found '9223372036854775808' (str)"),
    (["1", "-9223372036854775809"], None, "row 12"),
    ([1, 2**63], pa.uint64(), "row 12, column 'x': found 9223372036854775808"),
    ([0.0, 1.5], None, "row 12, column 'x': found 1.5"),
    ([0.0, 2.0**60], None, "row 12"),
    (["1", "2", "1e3"], None, "row 13, column 'x': found '1e3'"),
    (["1", None], None, "row 12, column 'x': found nothing"),
    ([[1]], None, "of type list<"),
    ([b"1"], None, "of type binary"),
  ],
)
def test_what_is_no_whole_number_of_64_bits_is_named(cells, kind, found):
  with pytest.raises(DataError, match="allowed:") as error:
    values.integers(block(cells, kind), "x", "error")
  assert found in str(error.value)


@pytest.mark.parametrize(
  ("cells", "found"),
  [
    (["1", "abc"], "row 12, column 'x': found 'abc'"),
    (["1", "inf"], "row 12"),
    ([1.0, float("inf")], "row 12, column 'x': found inf"),
    ([1.0, -1e300], "row 12, column 'x': found -1e+300"),
    (["1", "1,5"], "row 12"),
    (["1", "--1"], "row 12"),
  ],
)
def test_what_is_no_finite_number_is_named_or_replaced(cells, found):
  with pytest.raises(DataError) as error:
    values.floats(block(cells), "x", "error", "error")
  assert found in str(error.value)
  assert values.floats(block(cells), "x", "error", -3.0).tolist() == [1.0, -3.0]
  assert np.isnan(values.floats(block(cells), "x", "error", "nan")[1])


def test_missing_and_invalid_cells_are_told_apart():
  cells = ["1", "", "abc", None, "nan"]
  assert values.floats(block(cells), "x", 5.0, 6.0).tolist() == [1, 5, 6, 5, 5]


def test_booleans():
  assert values.booleans(block(["true", "0", None, ""]), "x").to_pylist() == [
    True,
    False,
    None,
    None,
  ]
  assert values.booleans(block([1, 0]), "x").to_pylist() == [True, False]
  assert values.booleans(block([1.0, float("nan")]), "x").to_pylist() == [True, None]
  with pytest.raises(DataError, match=r"row 12, column 'x': found 2 \(int\), allowed: 0, 1, true"):
    values.booleans(block([1, 2]), "x")


@pytest.mark.parametrize(
  ("cells", "kind", "unit"),
  [
    ([1.5], None, "s"),
    (["1500"], None, "ms"),
    ([1_500_000_000], None, "ns"),
    ([datetime.datetime(1970, 1, 1, 0, 0, 1, 500000)], None, "s"),
    ([1500], pa.timestamp("ms", "UTC"), "s"),
  ],
)
def test_times_in_seconds(cells, kind, unit):
  assert values.times(block(cells, kind), "x", unit).tolist() == [1.5]


def test_a_date_is_its_midnight():
  assert values.times(block([datetime.date(1970, 1, 3)]), "x", "s").tolist() == [2 * 86400]
