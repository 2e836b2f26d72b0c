"""Tests of the sections `fitted_log_config` and `wide_config`."""

import re

import pytest

from heavy_ranker.config.fitted_log import FittedLogConfig
from heavy_ranker.config.wide import WideConfig
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError


def test_columns_are_numbers_and_ranges():
  section = validate(
    FittedLogConfig,
    {"leave_out": [7, "10-12"], "rates": [{"of": ["3-4"], "per": 2}], "no_pieces_of": ["0"]},
    "file",
  )
  assert section.leave_out == [7, 10, 11, 12]
  assert section.rates[0].of == [3, 4]
  assert section.no_pieces_of == [0]


@pytest.mark.parametrize(
  "content, message",
  [
    ({"leave_out": [1, "0-3"]}, "leave_out.1: column 1 is listed twice, allowed: once"),
    ({"leave_out": ["3-1"]}, "leave_out.0: found '3-1' (str), allowed: columns such as 7"),
    ({"leave_out": ["all"]}, "leave_out.0: found 'all' (str), allowed: columns such as 7"),
    ({"leave_out": [-1]}, "leave_out.0: found -1 (int), allowed: columns such as 7"),
    ({"leave_out": [True]}, "leave_out.0"),
    ({"rates": [{"of": [], "per": 2}]}, "rates.0.of"),
    ({"rates": [{"of": [2], "per": 2}]}, "per: found 2, which is in `of`, too"),
    ({"smoothing": 0}, "smoothing"),
    ({"pieces": -1}, "pieces"),
    ({"piece": 3}, "did you mean 'pieces'"),
  ],
)
def test_what_cannot_be_is_named(content, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    validate(FittedLogConfig, content, "file")


def test_a_column_has_one_wide_table():
  table = {"index": 4, "num_embeddings": 3}
  with pytest.raises(ConfigError, match="tables.1.index: found 4 again, allowed: each column once"):
    validate(WideConfig, {"tables": [table, table]}, "file")
  with pytest.raises(ConfigError, match="l2"):
    validate(WideConfig, {"l2": -1}, "file")
