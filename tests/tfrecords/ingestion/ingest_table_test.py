"""From tables to folders of records, in this process."""

import gzip
import json
import math
import os

import pyarrow as pa
import pytest
import tensorflow as tf

from heavy_ranker.config import load_config
from tests.tfrecords.ingestion import small_table
from tests.tfrecords.ingestion.small_table import TASK, contents, read, run
from tfrecords import shards as shard_files
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.ingestion import conversion, shard_assembly, table_files, table_reader
from tfrecords.ingestion.ingest_table import ingest
from tfrecords.ingestion.pipeline import Runner
from tfrecords.schema import load_schema

BAZEL_SIZE = "medium"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
  folder = tmp_path_factory.mktemp("ingested")
  run(folder, small_table.write_parquet(folder / "table.parquet"))
  return folder


def test_every_row_is_a_record_of_its_part_with_its_values(ingested):
  columns = small_table.columns()
  found = {part: read(ingested, part) for part in ("train", "validation")}
  assert [len(found["train"]), len(found["validation"])] == [75, 25]
  assert (
    sorted(row["meta__user_id"][0] for part in found.values() for row in part) == columns["user"]
  )
  for part, rows in found.items():
    for row in rows:
      user = row["meta__user_id"][0]
      assert (columns["day"][user] >= 3) == (part == "validation")
      assert row["continuous"] == [columns["height"][user], columns["width"][user] or 0]
      assert row["binary"] == [columns["flag"][user]]
      assert row["discrete"] == [columns["code"][user]]
      assert row[TASK] == [int(columns["likes"][user] > 0)]
      present = columns["width"][user] is not None
      assert row["is_big"] == [int(columns["height"][user] / 2 >= 5 and present)]


def test_shards_are_balanced_and_shuffled(ingested):
  sizes = [len(small_table.read_shard(path)) for path in small_table.shards(ingested, "train")]
  assert sorted(sizes) == [9] * 5 + [10] * 3
  users = [row["meta__user_id"][0] for row in read(ingested, "train")]
  assert users != sorted(users)
  first = users[:10]
  assert first != sorted(first)
  assert max(first) - min(first) > 40, "a shard has a share of the whole table"


def test_the_configuration_loads_and_finds_everything(ingested):
  config = load_config(ingested / "records" / "config.yaml")
  assert list(config.model.tasks) == [TASK, "is_big"]
  assert config.model.tasks[TASK].affine_map.bias == round(math.log(51 / 26), 3)
  assert len(shard_files.shards_of(config.train_data)) == 8
  schema = load_schema(config.train_data.seg_dense_schema.schema_path)
  assert {name: (of.dtype, of.length) for name, of in schema.items()} == {
    "continuous": ("float_list", 2),
    "binary": ("int64_list", 1),
    "discrete": ("int64_list", 1),
    "meta__user_id": ("int64_list", 1),
    TASK: ("int64_list", 1),
    "is_big": ("int64_list", 1),
  }


def test_the_feature_list_names_columns_and_statistics(ingested):
  listed = json.loads((ingested / "records" / "features.json").read_text())
  height, width = listed["features"]["continuous"]
  assert (height["name"], height["maximum"], width["index"]) == ("height", 18, 1)
  assert width["made_by"] == {"missing": 0.0}
  assert listed["parts"]["train"]["tasks"][TASK] == {"positives": 50, "negatives": 25}
  assert listed["labels"][TASK] == "likes > 0"


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_the_format_does_not_matter(ingested, tmp_path, kind, monkeypatch):
  monkeypatch.setattr(table_reader, "_ROWS_A_BLOCK", 100)
  writers = {"csv": small_table.write_csv, "jsonl": small_table.write_jsonl}
  form, _, compression = kind.partition(".")
  path = writers.get(form, small_table.write_parquet)(tmp_path / f"table.{form}")
  if compression:
    path.write_bytes(gzip.compress(path.read_bytes()))
  run(tmp_path, path, format=form)
  expected = contents(ingested / "records" / "train")
  assert contents(tmp_path / "records" / "train") == expected


def test_small_pieces_hold_the_same_rows(tmp_path, monkeypatch):
  monkeypatch.setattr(table_files, "_BYTES_A_CHUNK", 300)
  monkeypatch.setattr(table_reader, "_BYTES_A_BLOCK", 100)
  path = small_table.write_csv(tmp_path / "table.csv")
  run(tmp_path, path, format="csv")
  users = [
    row["meta__user_id"][0] for part in ("train", "validation") for row in read(tmp_path, part)
  ]
  assert sorted(users) == list(range(100))


def test_other_seeds_give_another_order_of_the_same_records(ingested, tmp_path):
  output = {**small_table.content()["output"], "seed": 1}
  run(tmp_path, small_table.write_parquet(tmp_path / "table.parquet"), output=output)
  one, other = read(ingested, "train"), read(tmp_path, "train")
  assert one != other
  assert sorted(map(str, one)) == sorted(map(str, other))


def test_complete_it_does_nothing_and_another_mapping_needs_overwrite(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet")
  run(tmp_path, path)
  before = {
    name: os.stat(tmp_path / "records" / name).st_mtime_ns
    for name in contents(tmp_path / "records")
  }
  assert run(tmp_path, path).was_complete
  assert before == {
    name: os.stat(tmp_path / "records" / name).st_mtime_ns
    for name in contents(tmp_path / "records")
  }
  with pytest.raises(StorageError, match="--overwrite"):
    run(tmp_path, path, discrete=[])
  assert "discrete" in read(tmp_path, "train")[0]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet")
  (tmp_path / "records").mkdir()
  (tmp_path / "records" / "thesis.txt").write_text("dear")
  with pytest.raises(StorageError, match="holds something else"):
    run(tmp_path, path)
  assert (tmp_path / "records" / "thesis.txt").read_text() == "dear"


def test_a_summary_that_was_tampered_with(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet")
  run(tmp_path, path)
  (tmp_path / "records" / "ingestion.json").write_text("{")
  with pytest.raises(StorageError, match=r"ingestion.json: is not what was written"):
    run(tmp_path, path)


def test_where_a_file_is_no_folder_can_be(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet")
  (tmp_path / "records").write_text("dear")
  with pytest.raises(StorageError, match="holds something else"):
    run(tmp_path, path)


def test_a_remote_file_system_gets_the_same_bytes(ingested, tmp_path):
  """`ram://` is TensorFlow's file system in memory; others are reached the same way."""
  table = small_table.write_parquet(tmp_path / "table.parquet").read_bytes()
  for name in ("one", "two"):
    tf.io.gfile.makedirs(f"ram://{name}")
    with tf.io.gfile.GFile(f"ram://{name}/table.parquet", "wb") as file:
      file.write(table)
    runner = Runner()
    ingest(small_table.mapping(), [f"ram://{name}/*.parquet"], f"ram://{name}/records", runner)
  folder = "ram://two/records"
  for path, expected in contents(ingested / "records").items():
    if path not in ("ingestion.json", "config.yaml"):
      with tf.io.gfile.GFile(f"{folder}/{path}", "rb") as file:
        assert file.read() == expected, path
  assert ingest(small_table.mapping(), ["ram://two/*.parquet"], folder, runner).was_complete
  changed = small_table.mapping(discrete=[])
  ingest(changed, ["ram://two/*.parquet"], folder, runner, overwrite=True)
  assert "discrete" not in tf.io.gfile.GFile(f"{folder}/schema.json").read()


class _Interrupt(Exception):
  pass


@pytest.mark.parametrize("stage", ["convert", "assemble"])
def test_interrupted_it_goes_on_and_ends_in_the_same_bytes(tmp_path, monkeypatch, capsys, stage):
  whole, cut = tmp_path / "whole", tmp_path / "cut"
  inputs = [
    small_table.write_parquet(tmp_path / f"{day}.parquet", likes=[0, 1] * 50) for day in "abc"
  ]
  run(whole, inputs)
  kind, after = {
    "convert": (conversion.ChunkConverter, 2),
    "assemble": (shard_assembly.ShardAssembler, 5),
  }[stage]
  original, done = kind.__call__, []

  def limited(self, number):
    if len(done) == after:
      raise _Interrupt
    done.append(number)
    original(self, number)

  monkeypatch.setattr(kind, "__call__", limited)
  with pytest.raises(Exception, match="_Interrupt"):
    run(cut, inputs)
  assert not (cut / "records").exists()
  rest = []
  monkeypatch.setattr(
    kind, "__call__", lambda self, number: (rest.append(number), original(self, number))
  )
  run(cut, inputs)
  assert "going on" in capsys.readouterr().out
  assert not set(done) & set(rest)
  assert set(done) | set(rest) == set(range(len(done) + len(rest)))
  assert contents(cut / "records") == contents(whole / "records")
  assert [name for name in os.listdir(cut) if not name.endswith(".lock")] == ["records"]


def test_downsampling_keeps_positives_and_writes_the_rates_it_came_to(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet", 2000)
  run(tmp_path, path, downsampling={"negatives": {TASK: 0.25}})
  rows = read(tmp_path, "train")
  likes = small_table.columns(2000)["likes"]
  positives = [row for row in rows if row[TASK] == [1]]
  n_negatives = sum(row % 4 < 3 and likes[row] == 0 for row in range(2000))
  assert len(positives) == sum(row % 4 < 3 and likes[row] > 0 for row in range(2000))
  n_kept = len(rows) - len(positives)
  assert 0.15 < n_kept / n_negatives < 0.35
  config = load_config(tmp_path / "records" / "config.yaml")
  rates = config.train_data.tasks
  assert rates[TASK].pos_downsampling_rate == 1
  assert rates[TASK].neg_downsampling_rate == n_kept / n_negatives
  big = sum(row["is_big"] == [1] for row in rows)
  columns = small_table.columns(2000)
  n_big = sum(
    row % 4 < 3 and columns["height"][row] >= 10 and columns["width"][row] is not None
    for row in range(2000)
  )
  assert rates["is_big"].pos_downsampling_rate == pytest.approx(big / n_big)
  assert len(read(tmp_path, "validation")) == 500
  assert config.validation_data["validation"].tasks[TASK].neg_downsampling_rate == 1


def test_vocabularies_rank_by_the_training_part(tmp_path):
  names = ["rare" if row % 4 == 3 else "often" if row % 3 else "less" for row in range(100)]
  path = small_table.write_parquet(tmp_path / "table.parquet", name=names)
  run(tmp_path, path, discrete=[{"column": "name", "vocabulary": {}}])
  found = json.loads((tmp_path / "records" / "vocabularies.json").read_text())
  assert found == {"name": ["often", "less"]}
  expected = {"often": 1, "less": 2, "rare": 0}
  for part in ("train", "validation"):
    for row in read(tmp_path, part):
      assert row["discrete"] == [expected[names[row["meta__user_id"][0]]]]
  config = load_config(tmp_path / "records" / "config.yaml")
  assert config.model.small_embeddings.tables[0].num_embeddings == 3


def test_files_without_the_labels_columns_have_records_without_labels(tmp_path):
  old = small_table.write_parquet(tmp_path / "a_old.parquet")
  table = pa.table({key: of for key, of in small_table.columns(10).items() if key != "likes"})
  pa.parquet.write_table(table, tmp_path / "z_new.parquet")
  inputs = [old, tmp_path / "z_new.parquet"]
  with pytest.raises(DataError, match=r"z_new.parquet: has no column 'likes'.*optional_columns"):
    run(tmp_path, inputs)
  with pytest.raises(DataError, match=r"z_new.parquet: row 1: .*has no labels.*unlabelled: true"):
    run(tmp_path, inputs, optional_columns=["likes"])
  parts = small_table.content()["split"]["parts"]
  split = {"column": "day", "parts": {**parts, "new": {"files": "z_new*", "unlabelled": True}}}
  run(tmp_path, inputs, optional_columns=["likes"], split=split)
  rows = read(tmp_path, "new")
  assert len(rows) == 10
  assert TASK not in rows[0]
  config = load_config(tmp_path / "records" / "config.yaml")
  assert list(config.validation_data) == ["validation"]


def test_dates_split_times(tmp_path):
  times = [1_000_000 * (86400 + row) for row in range(-50, 50)]
  split = {
    "column": "time",
    "unit": "us",
    "parts": {"train": {"below": "1970-01-02"}, "validation": {"at_least": "1970-01-02T00:00:10"}},
  }
  for name, kind in (("number", pa.int64()), ("time", pa.timestamp("us"))):
    folder = tmp_path / name
    path = small_table.write_parquet(folder / "table.parquet", time=pa.array(times, kind))
    done = run(folder, path, split=split)
    assert done.summary["parts"]["train"]["records"] == 50
    assert done.summary["parts"]["validation"]["records"] == 40
    assert done.summary["rows_of_no_part"] == 10


def _text(name, row, value):
  cells = [str(cell) for cell in small_table.columns()[name]]
  cells[row] = value
  return cells


@pytest.mark.parametrize(
  ("changes", "sections", "kind", "words"),
  [
    (
      {"height": _text("height", 41, "tall")},
      {},
      DataError,
      "row 42, column 'height': found 'tall'",
    ),
    ({"height": _text("height", 41, "inf")}, {}, DataError, "row 42, column 'height': found 'inf'"),
    (
      {"height": _text("height", 7, None)},
      {"continuous": [{"column": "height"}]},
      DataError,
      "row 8",
    ),
    ({"user": _text("user", 5, "9" * 20)}, {}, DataError, "row 6, column 'user': found '9999"),
    ({"flag": [2] * 100}, {}, DataError, "column 'flag': found 2 (int), allowed: 0 or 1"),
    ({"flag": [[1]] * 100}, {}, DataError, "column 'flag': found [1] (list) of type list<"),
    ({"day": _text("day", 3, "soon")}, {}, DataError, "row 4, column 'day': found 'soon'"),
    ({"day": _text("day", 3, None)}, {}, DataError, "row 4, column 'day': found nothing"),
    ({"day": [0] * 100}, {}, DataError, "split.parts.validation: none of the 100 rows"),
    ({"day": [5] * 100}, {}, DataError, "split.parts.train: none of the 100 rows"),
    ({"likes": [0] * 100}, {}, DataError, f"labels.{TASK}: 'likes > 0' is never true"),
    ({"likes": [1] * 100}, {}, DataError, f"labels.{TASK}: 'likes > 0' is always true"),
    ({"likes": [None, 1] * 50}, {}, DataError, "has no answer where {'likes': None}"),
    ({}, {"labels": {"x": "likes > 'a' or lieks"}}, ConfigError, "no column 'lieks'"),
    ({}, {"labels": {"x": "likes"}}, DataError, "row 3, column 'likes': found 2"),
    ({}, {"format": "csv"}, DataError, "table.parquet"),
    ({}, {"format": "jsonl"}, DataError, "a JSON object a line"),
  ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
  tmp_path, changes, sections, kind, words
):
  path = small_table.write_parquet(tmp_path / "table.parquet", **changes)
  with pytest.raises(kind) as error:
    run(tmp_path, path, **sections)
  assert words in str(error.value)
  assert not (tmp_path / "records").exists()


def test_parquet_files_of_mixed_types_are_named(tmp_path):
  inputs = [
    small_table.write_parquet(tmp_path / "a.parquet"),
    small_table.write_parquet(tmp_path / "b.parquet", code=["1"] * 100),
  ]
  with pytest.raises(
    DataError, match=r"b.parquet: column 'code' is of type string, but int64 in .*a"
  ):
    run(tmp_path, inputs)


def test_a_label_that_never_holds_may_be_allowed(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet", likes=[0] * 100)
  labels = {TASK: {"expression": "likes > 0", "may_be_constant": True}, "other": "flag"}
  assert run(tmp_path, path, labels=labels).summary["parts"]["train"]["records"] == 75
