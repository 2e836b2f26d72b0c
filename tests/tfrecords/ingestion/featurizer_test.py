import math

import numpy as np
import pyarrow as pa
import pytest

from tests.tfrecords.ingestion import small_table
from tfrecords.errors import ConfigError, DataError
from tfrecords.ingestion import categories
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.featurizer import Featurizer
from tfrecords.ingestion.layout import Layout

# Wednesday, 1970-01-07 05:30:00 UTC.
_TIME = 6 * 86400 + 5 * 3600 + 1800


def features(table, vocabularies=None, **sections):
  given = {"labels": {"x": "a > 0"}, "split": {"parts": {"train": {"files": "*"}}}, **sections}
  mapping = small_table.mapping(**{"ids": {}, "binary": [], "discrete": [], **given})
  record_batch = pa.record_batch(table)
  layout = Layout(mapping, record_batch.schema.names)
  return Featurizer(layout, vocabularies or {})(Block(record_batch, "table", lambda: 1))


def continuous(cells, **entry):
  made = features({"a": cells, "b": [_TIME] * len(cells)}, continuous=[{"column": "a", **entry}])
  assert made["continuous"].dtype == np.float32
  return made["continuous"][:, 0].tolist()


def test_transforms_are_done_in_order():
  steps = ["log1p_abs", {"clip": [-1, 1.5]}, {"scale": 2}, {"add": 1}]
  expected = [1 + 2 * math.log(2), 4.0, -1.0]
  np.testing.assert_allclose(continuous([1.0, 99.0, -9.0], transform=steps), expected, rtol=1e-6)
  assert math.isnan(continuous([None, 1.0], missing="nan", transform=steps)[0])


def test_times_become_hours_weekdays_and_ages():
  assert continuous([_TIME], hour={"unit": "s"}) == [5]
  assert continuous([_TIME * 1000], hour={"unit": "ms", "utc_offset_hours": -6}) == [23]
  assert continuous([_TIME], weekday={}) == [2]
  assert continuous([_TIME - 86400 * 3], age={"at": "b"}) == [3]
  assert continuous([_TIME - 7200], age={"at": "b", "count_in": "hours"}) == [2]


def test_items_are_counted():
  assert continuous(["x\ty", "x", None, ""], count_items=True, separator="\t") == [2, 1, 0, 0]
  assert continuous([[1, 2], [], None], count_items=True) == [2, 0, 0]


def test_a_transform_that_leaves_float32_is_an_error_or_replaced():
  with pytest.raises(DataError, match="row 2, column 'a'.*finite after transform"):
    continuous([1.0, 1e30], transform=[{"scale": 1e30}])
  assert continuous([1.0, 1e30], transform=[{"scale": 1e30}], invalid=5) == [np.float32(1e30), 5]


def test_binary_columns():
  table = {
    "a": ["true", None],
    "b": ["Photo\tGIF", None],
    "c": ["x", "z"],
    "d": [[1, 2], [3]],
  }
  made = features(
    table,
    continuous=[{"column": "a", "count_items": True, "separator": ","}],
    binary=[
      {"column": "a", "missing": 0},
      {"column": "a", "present": True},
      {"column": "b", "one_hot": ["Photo", "Video", "GIF"], "separator": "\t"},
      {"column": "c", "one_hot": ["x", "y"]},
      {"column": "d", "one_hot": [1, 3]},
    ],
  )["binary"]
  assert made.tolist() == [[1, 1, 1, 0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0, 1]]


def test_categories_have_numbers_and_0_is_for_what_has_none():
  table = {"a": [1, 1, 1], "b": ["x", "y", None], "t": [_TIME, None, 0]}
  made = features(
    table,
    vocabularies={"b": {"y": 1}},
    continuous=[{"column": "a"}],
    discrete=[
      {"column": "b", "vocabulary": {}},
      {"column": "b", "values": ["x"]},
      {"column": "b", "hash": {"buckets": 10}},
      {"column": "t", "hour": {}},
      {"column": "t", "weekday": {}},
      {"column": "a"},
    ],
  )["discrete"]
  hashes = [1 + categories.hash_of(text) % 10 for text in "xy"]
  assert made.tolist() == [
    [0, 1, hashes[0], 6, 3, 1],
    [1, 0, hashes[1], 0, 0, 1],
    [0, 0, 0, 1, 4, 1],
  ]


def test_a_hash_never_changes():
  # Written into records and models: another number here would part them.
  assert categories.hash_of("user-1") == 640050051772230810


def test_ids_and_embeddings():
  table = {
    "a": [1.0, 2.0],
    "list": [[1.0, 2.0], None],
    "text": ["1;2", "3;4"],
    "user": ["ann", None],
    "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)),
  }
  made = features(
    table,
    continuous=[{"column": "a"}],
    embeddings={
      "user_embedding": {"column": "list", "length": 2, "missing": 0},
      "author_embedding": {"column": "text", "length": 2, "separator": ";"},
      "other": {"column": "fixed", "length": 2},
    },
    ids={"meta__user_id": {"column": "user", "hash": True, "missing": 0}, "b": "a"},
  )
  assert made["user_embedding"].tolist() == [[1, 2], [0, 0]]
  assert made["author_embedding"].tolist() == [[1, 2], [3, 4]]
  assert made["other"].tolist() == [[1, 2], [3, 4]]
  assert made["meta__user_id"].tolist() == [[categories.hash_of("ann")], [0]]
  assert made["b"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
  ("cells", "words"),
  [
    ([[1.0, 2.0], [1.0]], "row 2, column 'list': found [1.0] (list) of length 1"),
    ([[1.0, 2.0], None], "row 2, column 'list': found nothing of length 0"),
    ([[1.0, 2.0], [1.0, float("nan")]], "row 2, column 'list': found [1.0, nan]"),
    ([[1.0, 2.0], [1.0, None]], "row 2, column 'list'"),
    ([["x", "y"], ["1", "2"]], "row 1, column 'list'"),
    ([1.0, 2.0], "of type double, allowed: lists"),
  ],
)
def test_an_embedding_of_another_length_or_kind_is_named(cells, words):
  with pytest.raises(DataError) as error:
    features(
      {"a": [1, 1], "list": cells},
      continuous=[{"column": "a"}],
      embeddings={"e": {"column": "list", "length": 2}},
    )
  assert words in str(error.value)


def test_an_id_that_is_too_large_says_how_to_hash_it():
  with pytest.raises(DataError, match=r"row 2.*64 bits.*hash: true"):
    features({"a": [1, 1], "u": ["1", "9" * 30]}, continuous=[{"column": "a"}], ids={"id": "u"})


def test_wildcards_take_columns_in_the_tables_order():
  table = {"c_b": [1.0], "a": [2.0], "c_a": [3.0]}
  assert features(table, continuous=[{"columns": ["c_*", "a"]}])["continuous"].tolist() == [
    [1, 3, 2]
  ]


@pytest.mark.parametrize(
  ("section", "words"),
  [
    ({"continuous": [{"column": "heihgt"}]}, "did you mean 'height'"),
    ({"continuous": [{"columns": ["z*"]}]}, "continuous.0: the table has no column 'z*'"),
    ({"labels": {"x": "heihgt > 0"}}, "labels.x: the table has no column 'heihgt'"),
    ({"ids": {"b": "usr"}}, "ids.b.column: the table has no column 'usr', did you mean 'user'"),
    ({"continuous": [{"column": "height", "age": {"at": "dya"}}]}, "no column 'dya'"),
    ({"split": {"column": "dy", "parts": {"train": {"below": 1}}}}, "split.column: the table"),
  ],
)
def test_a_column_that_is_not_there_is_named(section, words):
  with pytest.raises(ConfigError) as error:
    Layout(small_table.mapping(**section), list(small_table.columns()))
  assert words in str(error.value)
