"""Tests of `heavy_ranker.training.initial_tables`, `pretrained_rows` and `table_log`."""

import numpy as np
import pytest

from heavy_ranker import build_model
from heavy_ranker.training.initial_tables import check_vocabularies, fill_tables, read_vocabulary
from heavy_ranker.training.table_log import MOST_ROWS, TableLog
from tests.heavy_ranker import example_config
from tfrecords.errors import CheckpointError, ConfigError, DataError

BAZEL_SIZE = "medium"
WIDTHS = {**example_config.WIDTHS, "tags": 1}
KEY = "model.large_embeddings.tables.0"


def make(num_embeddings=5, **changes):
  """A model with one large table, and the table's section."""
  table = {"name": "tags", "num_embeddings": num_embeddings, "embedding_dim": 2, **changes}
  section = {"tables": [table], "optimizer": {"learning_rate": 1}, "tables_to_log": ["tags"]}
  config = example_config.build_config([("model", "large_embeddings", section)])
  return build_model(config, WIDTHS), config.model.large_embeddings


@pytest.fixture(name="vocabulary")
def vocabulary_fixture(tmp_path):
  """Writes a vocabulary and returns its path."""

  def write(content):
    (tmp_path / "vocab.txt").write_bytes(content)
    return str(tmp_path / "vocab.txt")

  return write


@pytest.fixture(name="snapshot")
def snapshot_fixture(tmp_path):
  """Writes pretrained rows and returns the section that names them."""

  def write(**arrays):
    np.savez(tmp_path / "rows.npz", **arrays)
    return {"emb_name": "rows", "embedding_snapshot_uri": str(tmp_path / "rows.npz")}

  return write


@pytest.mark.parametrize(
  ("content", "ids"),
  [
    (b"7\n-3\n0\n", [7, -3, 0]),
    (b"7\r\n +5 \n1", [7, 5, 1]),
    (b"9223372036854775807\n-9223372036854775808", [2**63 - 1, -(2**63)]),
  ],
)
def test_reads_an_id_a_line(content, ids, vocabulary):
  found = read_vocabulary(vocabulary(content), 3, "vocab")
  assert found.dtype == np.int64
  assert found.tolist() == ids


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"", "found no line, allowed: an id a line"),
    (b"1\n\n2\n", "line 2: found '', allowed: an int64"),
    (b"1\n2.0\n", "line 2: found '2.0', allowed: an int64"),
    (b"1_000\n", "line 1: found '1_000', allowed: an int64"),
    (b"\xef\xbb\xbf1\n", "line 1: found '\\ufeff1', allowed: an int64"),
    (b"\xff\x00", "line 1: found"),
    (b"9223372036854775808\n", "line 1: found '9223372036854775808', allowed: an int64"),
    (b"1" * 100_000, "line 1: found '1111"),
    (b"4\n5\n4\n", "line 3: found 4 again, it stands in line 1 already"),
    (b"4\n5\n6\n7\n", "line 4: found more lines than num_embeddings, allowed: 3"),
  ],
)
def test_a_vocabulary_that_cannot_be_used_is_named_with_its_line(content, message, vocabulary):
  path = vocabulary(content)
  with pytest.raises(DataError) as error:
    read_vocabulary(path, 3, "key.vocab")
  assert str(error.value).startswith(f"key.vocab: {path}: ")
  assert message in str(error.value)
  assert len(str(error.value)) < 500


def test_a_vocabulary_that_is_not_there(tmp_path):
  with pytest.raises(DataError, match="vocab: .*nothing cannot be read"):
    read_vocabulary(str(tmp_path / "nothing"), 3, "vocab")
  with pytest.raises(DataError, match="found no line"):
    read_vocabulary(str(tmp_path), 3, "vocab")
  with pytest.raises(ConfigError, match="NOT_SET_AT_ALL"):
    read_vocabulary("$NOT_SET_AT_ALL/x", 3, "vocab")


def test_without_large_tables_there_is_nothing_to_fill():
  model = build_model(example_config.build_config(), example_config.WIDTHS)
  assert fill_tables(model, None) == []
  check_vocabularies(model, None, "checkpoint")
  assert TableLog(model, None).row_lengths() == {}


def test_fills_the_vocabulary_and_compares_it(vocabulary):
  path = vocabulary(b"7\n-3\n")
  model, section = make(vocab=path)
  with pytest.raises(CheckpointError, match=f"{KEY}.vocab: .* trained with in step-1"):
    check_vocabularies(model, section, "step-1")
  assert fill_tables(model, section) == [f"{KEY}.vocab: 2 ids have rows of their own, out of 5"]
  layer = model.get_layer("large_embedding.tags")
  assert layer.rows_of(np.array([-3, 7, 8])).numpy().tolist() == [1, 0, 5]
  check_vocabularies(model, section, "step-1")


def test_pretrained_rows_of_listed_ids(vocabulary, snapshot):
  rows = np.float64([[1, 2], [3, 4], [5, 6]])
  pretrained = snapshot(ids=np.int64([-3, 8, 7]), rows=rows, other=np.array(["x"]))
  model, section = make(vocab=vocabulary(b"7\n-3\n9\n"), pretrained=pretrained)
  table = model.get_layer("large_embedding.tags").embeddings
  initial = table.numpy()
  report = fill_tables(model, section)[1]
  assert "2 of 3 ids gave 2 of the table's 6 rows" in report
  assert "1 ids are not in the vocabulary" in report
  np.testing.assert_array_equal(table[:2], [[5, 6], [1, 2]])
  np.testing.assert_array_equal(table[2:], initial[2:])


def test_pretrained_rows_of_hashed_ids_that_share_a_row_are_averaged(snapshot):
  ids = np.arange(50)
  values = np.random.default_rng(0).normal(size=(50, 2)).astype("f")
  model, section = make(pretrained=snapshot(ids=ids, rows=values))
  layer = model.get_layer("large_embedding.tags")
  (report,) = fill_tables(model, section)
  assert "50 of 50 ids gave 6 of the table's 6 rows" in report
  rows = layer.rows_of(ids).numpy()
  expected = [values[rows == row].mean(axis=0) for row in range(6)]
  np.testing.assert_allclose(layer.embeddings, expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(layer.embeddings[5], values[0])


_IDS, _ROWS = np.int64([1, 2]), np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"rows": _ROWS}, "found no array 'ids', but: rows"),
    ({"ids": _IDS, "row": _ROWS}, "found no array 'rows', but: ids, row"),
    ({}, "found no array 'ids', but: none"),
    (
      {"ids": _IDS.astype("f"), "rows": _ROWS},
      r"ids: found float32 of shape \(2,\), allowed: int64",
    ),
    ({"ids": _IDS[:, None], "rows": _ROWS}, r"ids: found int64 of shape \(2, 1\)"),
    (
      {"ids": _IDS, "rows": _ROWS[:, :1]},
      r"rows: found float32 of shape \(2, 1\), allowed: floats",
    ),
    ({"ids": _IDS, "rows": _ROWS[:1]}, r"rows: found float32 of shape \(1, 2\)"),
    ({"ids": _IDS, "rows": _ROWS.astype(int)}, "rows: found int64 of shape"),
    ({"ids": _IDS * 0 + 4, "rows": _ROWS}, "ids: found 4 twice"),
    ({"ids": _IDS, "rows": _ROWS * [[1], [np.nan]]}, "the row of id 2 is not finite"),
    ({"ids": _IDS, "rows": _ROWS * np.float64([[1e300], [1]])}, "the row of id 1 is not finite"),
    ({"ids": _IDS, "rows": np.array([[{}] * 2] * 2)}, "no .npz file of numbers"),
  ],
)
def test_pretrained_rows_that_cannot_be_used_are_named(arrays, message, snapshot):
  model, section = make(pretrained=snapshot(**arrays))
  with np.errstate(over="ignore"), pytest.raises(DataError, match=message) as error:
    fill_tables(model, section)
  assert str(error.value).startswith(f"{KEY}.pretrained: ")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04no archive", b"\x93NUMPY\x01\x00"])
def test_pretrained_rows_in_a_damaged_file(content, snapshot, tmp_path):
  model, section = make(pretrained=snapshot(ids=_IDS, rows=_ROWS))
  (tmp_path / "rows.npz").write_bytes(content)
  with pytest.raises(DataError, match="rows.npz: no .npz file of numbers that can be read"):
    fill_tables(model, section)
  np.save(tmp_path / "rows.npy", _ROWS)
  (tmp_path / "rows.npy").rename(tmp_path / "rows.npz")
  with pytest.raises(DataError, match="no .npz file of numbers that can be read"):
    fill_tables(model, section)
  (tmp_path / "rows.npz").unlink()
  with pytest.raises(DataError, match="rows.npz: cannot be read"):
    fill_tables(model, section)


@pytest.mark.parametrize("size", [4, MOST_ROWS, 3 * MOST_ROWS])
def test_the_mean_length_of_rows(size):
  model, section = make(num_embeddings=size)
  table = model.get_layer("large_embedding.tags").embeddings
  table.assign(np.tile(np.float32([[3, 4]]), (size + 1, 1)))
  table[0].assign([0, 0])
  ((name, length),) = TableLog(model, section).row_lengths().items()
  assert name == "tags"
  assert 0 < 5 - length < 5 / min(size, 30_000)
