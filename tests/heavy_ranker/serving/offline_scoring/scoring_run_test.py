"""Offline scoring: what is served, in the records' order, again and again the same."""

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from benchmarks.untrained_export import write_untrained_export
from heavy_ranker import make_dataset
from heavy_ranker.checkpoints import restore_weights
from heavy_ranker.model import build_model
from heavy_ranker.serving.offline_scoring import example_scorer, scoring_run, summary
from tests.heavy_ranker.evaluation.user_run import NUM_EXAMPLES, user_config, users
from tests.heavy_ranker.small_run import TASKS, assert_outputs_close, make_example
from tfrecords import paths
from tfrecords.errors import CheckpointError, ConfigError, DataError, StorageError

BAZEL_SIZE = "large"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("offline")
  config = user_config(path)
  write_untrained_export(config, str(path / "saved"))
  return path


@pytest.fixture(scope="module")
def model(folder):
  return example_scorer.exported_model(str(folder / "saved"))


@pytest.fixture(scope="module")
def expected(folder):
  """What the model itself says of the records, in their order."""
  config = user_config(folder)
  ranker = build_model(config)
  restore_weights(ranker, f"{config.training.save_dir}/checkpoints/step-0")
  partition = config.validation_data["validation"].model_copy(update={"global_batch_size": 1000})
  (batch,) = make_dataset(partition, "predict")
  return ranker({name: batch[0][name] for name in ranker.input})


def inputs(folder):
  return scoring_run.inputs_of_glob(str(folder / "data" / "*.gz"))


def read(output):
  return pyarrow.parquet.read_table(str(output))


def bytes_of(output):
  return {path.name: path.read_bytes() for path in sorted(Path(output).glob("part-*"))}


def check(table, expected):
  assert table.column_names == ["meta.user_id", "score", *TASKS]
  assert table["meta.user_id"].to_pylist() == users().tolist()
  probabilities = expected["calibrated_probabilities"]
  of_tasks = {task: probabilities[:, position] for position, task in enumerate(TASKS)}
  assert_outputs_close(table, {"score": expected["score"], **of_tasks})


def test_an_export_to_parquet(folder, model, expected, tmp_path, capsys):
  result = scoring_run.score_records(model, inputs(folder), str(tmp_path / "out"), batch_size=16)
  check(read(tmp_path / "out"), expected)
  assert sorted(os.listdir(tmp_path / "out")) == [
    "_scoring.json", "part-0.parquet", "part-1.parquet", "part-2.parquet",
  ]  # fmt: skip
  assert (result.files, result.files_before, result.examples) == (3, 0, NUM_EXAMPLES)
  assert "scored part-2.parquet (3 of 3): 40 examples" in capsys.readouterr().out
  text = summary.describe(result, "parquet")
  assert f"scores       {tmp_path}/out (3 file(s))" in text
  assert "columns      meta.user_id, score, 3 probabilities" in text
  program = shlex.split(text.split("next         python ")[1])
  done = subprocess.run([sys.executable, *program], capture_output=True, text=True)
  assert "meta.user_id: int64" in done.stdout, done.stderr


def test_a_checkpoint_scores_like_its_export(folder, expected, tmp_path):
  config = user_config(folder)
  checkpoint = f"{config.training.save_dir}/checkpoints/step-0"
  found = example_scorer.checkpoint_model(config, checkpoint)
  data = scoring_run.inputs_of_partition(config)
  scoring_run.score_records(found, data, str(tmp_path / "out"))
  check(read(tmp_path / "out"), expected)
  reweighted = user_config(folder, f"score.weights.{json.dumps(TASKS[0])}=3")
  assert example_scorer.checkpoint_model(reweighted, checkpoint).identity != found.identity


def test_tfrecords_hold_the_same(folder, model, expected, tmp_path):
  result = scoring_run.score_records(
    model, inputs(folder), str(tmp_path / "out"), "tfrecord", ["meta.user_id"]
  )
  assert result.columns == ("meta.user_id", "score", *TASKS)
  files = [str(tmp_path / "out" / f"part-{shard}.gz") for shard in range(3)]
  records = [
    tf.train.Example.FromString(record).features.feature
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
  ]
  assert [record["meta.user_id"].int64_list.value[0] for record in records] == users().tolist()
  wanted = {"score": expected["score"], TASKS[2]: expected["probabilities"][:, 2]}
  found = {name: [record[name].float_list.value[0] for record in records] for name in wanted}
  assert_outputs_close(found, wanted)


def test_a_finished_file_is_not_scored_again(folder, model, tmp_path, monkeypatch):
  output = tmp_path / "out"
  scoring_run.score_records(model, inputs(folder), str(output))
  before = bytes_of(output)
  (output / "part-1.parquet").unlink()
  (output / ".part-1.parquet.0123abcd.partial").write_text("half")
  result = scoring_run.score_records(model, inputs(folder), str(output))
  assert (result.files_before, result.examples) == (2, 40)
  assert bytes_of(output) == before
  assert not list(output.glob(".*"))

  def load():
    raise AssertionError("nothing is left to score")

  done = example_scorer.Model(model.origin, model.identity, load)
  assert scoring_run.score_records(done, inputs(folder), str(output)).examples == 0


_KILLED_AFTER_ONE = """
import os, signal, sys
from heavy_ranker.serving.offline_scoring import example_scorer, scoring_run
write = scoring_run.score_file
def killed_in_the_second(path, *rest):
  if path.endswith("part-1.parquet"):
    context = write(path, *rest)
    context.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)
  return write(path, *rest)
scoring_run.score_file = killed_in_the_second
model = example_scorer.exported_model(sys.argv[1])
scoring_run.score_records(model, scoring_run.inputs_of_glob(sys.argv[2]), sys.argv[3])
"""


def test_a_run_that_was_killed_ends_with_the_same_bytes(folder, model, tmp_path):
  scoring_run.score_records(model, inputs(folder), str(tmp_path / "whole"))
  arguments = [str(folder / "saved"), str(folder / "data" / "*.gz"), str(tmp_path / "killed")]
  killed = subprocess.run(
    [sys.executable, "-c", _KILLED_AFTER_ONE, *arguments],
    env={**os.environ, "PYTHONPATH": paths.package_root()},
    capture_output=True,
    text=True,
    check=False,
  )
  assert killed.returncode == -signal.SIGKILL, killed.stderr
  assert set(bytes_of(tmp_path / "killed")) == {"part-0.parquet"}
  assert len(list((tmp_path / "killed").glob(".part-1*.partial"))) == 1
  result = scoring_run.score_records(model, inputs(folder), str(tmp_path / "killed"))
  assert (result.files, result.files_before) == (3, 1)
  assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
  assert not list((tmp_path / "killed").glob(".*"))


@pytest.fixture
def scored(folder, model, tmp_path):
  """A folder of records of its own, scored once, and how to score it again."""
  shutil.copytree(folder / "data", tmp_path / "data")

  def again(of=model, **options):
    return scoring_run.score_records(of, inputs(tmp_path), str(tmp_path / "out"), **options)

  again()
  return tmp_path, again


def test_new_files_of_records_come_in(scored):
  folder, again = scored
  shutil.copy(folder / "data" / "part-1.gz", folder / "data" / "part-7.gz")
  result = again()
  assert (result.files, result.files_before, result.examples) == (4, 3, 40)


def test_other_scores_in_the_folder_are_refused(scored, model):
  folder, again = scored
  before = bytes_of(folder / "out")
  other = example_scorer.Model("elsewhere", "another", model.load)
  with pytest.raises(StorageError, match="the model: they are from .*saved/1, .* than elsewhere"):
    again(other)
  with pytest.raises(StorageError, match="--ids: they have meta.user_id, wanted: none"):
    again(ids=[])
  with pytest.raises(StorageError, match="--format: they are parquet, wanted: tfrecord"):
    again(file_format="tfrecord")
  os.utime(folder / "data" / "part-1.gz", ns=(0, time.time_ns()))
  with pytest.raises(StorageError, match="part-1.parquet: its records, .*part-1.gz, have changed"):
    again()
  (folder / "data" / "part-1.gz").unlink()
  with pytest.raises(StorageError, match="part-1.parquet: .* are no longer among the inputs"):
    again()
  assert bytes_of(folder / "out") == before
  result = again(other, fresh=True)
  assert (result.files, result.examples) == (2, 80)
  assert result.set_aside == f"{folder}/out.1"
  assert bytes_of(folder / "out.1") == before


def test_folders_of_others_are_left_alone(folder, model, tmp_path):
  (tmp_path / "part-0.parquet").write_text("mine")
  for fresh in (False, True):
    with pytest.raises(StorageError, match="was not written by this command"):
      scoring_run.score_records(model, inputs(folder), str(tmp_path), fresh=fresh)
  assert (tmp_path / "part-0.parquet").read_text() == "mine"
  with pytest.raises(ConfigError, match="holds records to score"):
    scoring_run.score_records(model, inputs(folder), str(folder), fresh=True)
  (tmp_path / "_scoring.json").write_text('{"format_version": 9}')
  with pytest.raises(StorageError, match="no manifest of this version"):
    scoring_run.score_records(model, inputs(folder), str(tmp_path))


def write_records(path, examples):
  path.parent.mkdir(exist_ok=True)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for example in examples:
      writer.write(example if isinstance(example, bytes) else example.SerializeToString())


def examples(count, **ids):
  generator = np.random.default_rng(4)
  found = [make_example(generator) for _ in range(count)]
  for example in found:
    for name, value in ids.items():
      feature = example.features.feature[f"meta.{name}"]
      (feature.bytes_list if isinstance(value, bytes) else feature.int64_list).value.append(value)
  return found


def test_ids_of_both_kinds_may_be_absent(model, tmp_path):
  records = examples(5, tweet_id=-(2**60), source=b"a\xff")
  del records[2].features.feature["meta.tweet_id"]
  del records[3].features.feature["meta.source"]
  write_records(tmp_path / "data" / "x.tfrecord", records)
  data = scoring_run.inputs_of_glob(str(tmp_path / "data" / "*"))
  scoring_run.score_records(model, data, str(tmp_path / "p"), batch_size=2)
  table = read(tmp_path / "p" / "x.parquet")
  big = -(2**60)
  assert table["meta.tweet_id"].to_pylist() == [big, big, None, big, big]
  assert table["meta.source"].to_pylist() == [b"a\xff", b"a\xff", b"a\xff", None, b"a\xff"]
  scoring_run.score_records(model, data, str(tmp_path / "t"), "tfrecord")
  rows = tf.data.TFRecordDataset(str(tmp_path / "t" / "x.gz"), "GZIP").as_numpy_iterator()
  rows = [tf.train.Example.FromString(row).features.feature for row in rows]
  assert [list(row["meta.tweet_id"].int64_list.value) for row in rows][2:4] == [[], [big]]


def bad_records():
  good = examples(6, tweet_id=5)
  wide = examples(1, tweet_id=5)[0]
  wide.features.feature["record.continuous"].float_list.value.append(1)
  two = examples(1, tweet_id=5)[0]
  two.features.feature["meta.tweet_id"].int64_list.value.append(6)
  text = examples(1)[0]
  text.features.feature["meta.tweet_id"].bytes_list.value.append(b"6")
  return good, [
    (wide, "the model cannot read it: .*record.continuous"),
    (two, "'meta.tweet_id' holds 2 values, allowed: one"),
    (text, "'meta.tweet_id' holds bytes_list, allowed: int64_list"),
    (b"\xff\xfe no example", "no tf.Example"),
  ]


@pytest.mark.parametrize("bad", range(4))
def test_a_bad_record_is_named(model, tmp_path, bad):
  good, kinds = bad_records()
  record, words = kinds[bad]
  write_records(tmp_path / "data" / "a", good)
  write_records(tmp_path / "data" / "b", [*good[:4], record, *good[4:]])
  data = scoring_run.inputs_of_glob(str(tmp_path / "data" / "*"))
  with pytest.raises(DataError, match=rf"data/b: record 4: .*{words}"):
    scoring_run.score_records(model, data, str(tmp_path / "out"), batch_size=3)
  assert sorted(os.listdir(tmp_path / "out")) == ["_scoring.json", "a.parquet"]


def test_a_bad_record_is_named_without_ids(model, tmp_path):
  good, kinds = bad_records()
  write_records(tmp_path / "a", [*good, kinds[3][0]])
  data = scoring_run.inputs_of_glob(str(tmp_path / "a"))
  with pytest.raises(DataError, match="a: record 6: no tf.Example"):
    scoring_run.score_records(model, data, str(tmp_path / "out"), ids=[])


@pytest.mark.parametrize("position", [4, 280])
def test_a_damaged_file_is_named(model, tmp_path, position):
  write_records(tmp_path / "a", examples(300))
  content = bytearray((tmp_path / "a").read_bytes())
  content[len(content) * position // 300] ^= 1
  (tmp_path / "a").write_bytes(content)
  data = scoring_run.inputs_of_glob(str(tmp_path / "a"))
  with pytest.raises(DataError, match=rf"a: record {position}: the file is cut short or damaged"):
    scoring_run.score_records(model, data, str(tmp_path / "out"))


def test_a_model_of_no_finite_scores(folder, model, tmp_path):
  def load():
    loaded = model.load()

    def broken(records):
      outputs = dict(loaded.function(records))
      row = tf.range(len(records)) == 7
      return {**outputs, "score": tf.where(row, np.nan, outputs["score"])}

    return dataclasses.replace(loaded, origin="broken", function=broken)

  broken = example_scorer.Model("broken", "broken", load)
  with pytest.raises(CheckpointError, match=r"^broken: .*part-0.gz: record 7"):
    scoring_run.score_records(broken, inputs(folder), str(tmp_path / "out"))


@pytest.mark.parametrize(
  ("ids", "error", "words"),
  [
    (["meta.nothing"], DataError, "no feature 'meta.nothing' in the first .* found: meta.user_id"),
    (["record.continuous"], ConfigError, r"holds 9 value\(s\) of float_list"),
    (["meta.user_id", "meta.user_id"], ConfigError, "found 'meta.user_id' 2 times"),
    ([TASKS[0]], ConfigError, "which is the column of the model's own output"),
  ],
)
def test_ids_that_cannot_be_copied(folder, model, tmp_path, ids, error, words):
  with pytest.raises(error, match=words):
    scoring_run.score_records(model, inputs(folder), str(tmp_path / "out"), ids=ids)


def test_files_that_would_share_their_scores(folder, model, tmp_path):
  shutil.copytree(folder / "data", tmp_path / "data")
  shutil.copy(tmp_path / "data" / "part-0.gz", tmp_path / "data" / "part-0.tfrecord.gz")
  with pytest.raises(DataError, match="part-0.gz and part-0.tfrecord.gz, whose scores would both"):
    scoring_run.score_records(model, inputs(tmp_path), str(tmp_path / "out"))


def test_the_newest_version_is_taken(folder, tmp_path):
  config = user_config(folder, "training.seed=5")
  shutil.copytree(folder / "saved", tmp_path / "saved")
  config = config.model_copy(
    update={"training": config.training.model_copy(update={"save_dir": str(tmp_path)})}
  )
  write_untrained_export(config, str(tmp_path / "saved"), version=10)
  (tmp_path / "saved" / "11").mkdir()
  newest = example_scorer.exported_model(str(tmp_path / "saved"))
  assert newest.origin == str(tmp_path / "saved" / "10")
  old = example_scorer.exported_model(str(tmp_path / "saved" / "1"))
  assert old.identity == example_scorer.exported_model(str(folder / "saved")).identity
  assert old.identity != newest.identity
  with pytest.raises(StorageError, match="holds no export"):
    example_scorer.exported_model(str(tmp_path / "saved" / "11"))
  with pytest.raises(CheckpointError, match="no checkpoint"):
    example_scorer.checkpoint_model(config, str(tmp_path / "nothing"))


def test_no_such_partition(folder):
  with pytest.raises(ConfigError, match="--partition: found 'nowhere', allowed: validation"):
    scoring_run.inputs_of_partition(user_config(folder), "nowhere")
