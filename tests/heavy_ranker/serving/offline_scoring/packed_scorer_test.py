"""Scores of packed records: those of the records they were made of."""

import dataclasses
import shutil

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from benchmarks.untrained_export import write_untrained_export
from heavy_ranker.serving.offline_scoring import example_scorer, scoring_run
from tests.heavy_ranker.evaluation.user_run import NUM_EXAMPLES, user_config, users
from tests.heavy_ranker.small_run import TASKS
from tfrecords.errors import CheckpointError, ConfigError, DataError
from tfrecords.packed.packer import Options, pack

BAZEL_SIZE = "large"


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
  """An export, its records, and those packed."""
  path = tmp_path_factory.mktemp("packed_scores")
  config = user_config(path)
  write_untrained_export(config, str(path / "saved"))
  pack(config.train_data, str(path / "packed"), Options(examples_per_record=7))
  return path


@pytest.fixture(name="model", scope="module")
def model_fixture(folder):
  return example_scorer.exported_model(str(folder / "saved"))


@pytest.fixture(name="of_records", scope="module")
def of_records_fixture(folder, model):
  """The scores of the records themselves."""
  records = scoring_run.inputs_of_glob(str(folder / "data" / "*.gz"))
  scoring_run.score_records(model, records, str(folder / "of_records"), batch_size=16)
  return pyarrow.parquet.read_table(str(folder / "of_records"))


def packed(folder):
  return scoring_run.inputs_of_glob(str(folder / "*.tfrecord"))


def test_the_same_scores_and_ids(folder, model, of_records, tmp_path):
  result = scoring_run.score_records(
    model, packed(folder / "packed"), str(tmp_path / "out"), batch_size=16
  )
  assert (result.files, result.examples) == (3, NUM_EXAMPLES)
  table = pyarrow.parquet.read_table(str(tmp_path / "out"))
  assert table.column_names == ["meta.user_id", "score", *TASKS]
  assert table["meta.user_id"].to_pylist() == users().tolist()
  for name in table.column_names:
    np.testing.assert_array_equal(table[name], of_records[name])


def test_a_checkpoint_scores_its_partition(folder, of_records, tmp_path):
  config = user_config(
    folder,
    f"validation_data.validation.inputs={folder}/packed/*.tfrecord",
    "validation_data.validation.packed=true",
  )
  model = example_scorer.checkpoint_model(config, f"{config.training.save_dir}/checkpoints/step-0")
  inputs = scoring_run.inputs_of_partition(config)
  scoring_run.score_records(model, inputs, str(tmp_path / "out"), ids=[], batch_size=16)
  table = pyarrow.parquet.read_table(str(tmp_path / "out"))
  np.testing.assert_allclose(table["score"], of_records["score"], rtol=1e-6, atol=1e-6)


def test_a_rerun_goes_on_with_the_shard_that_is_missing(folder, model, tmp_path):
  scoring_run.score_records(model, packed(folder / "packed"), str(tmp_path))
  expected = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
  (tmp_path / "part-00001-of-00003.parquet").unlink()
  result = scoring_run.score_records(model, packed(folder / "packed"), str(tmp_path))
  assert (result.files_before, result.examples) == (2, NUM_EXAMPLES // 3)
  assert {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")} == expected


@pytest.mark.parametrize(
  "features, overrides, words",
  [
    (["binary"], (), "an input of .*, was not packed; found: binary"),
    (
      None,
      ("train_data.preprocess.truncate_and_slice.continuous_feature_truncation=2",),
      r"'continuous': found 2 float\(s\) an example, allowed: \d+ float",
    ),
  ],
)
def test_what_the_model_reads_has_to_be_packed(folder, model, tmp_path, features, overrides, words):
  section = user_config(folder, *overrides).train_data
  pack(section, str(tmp_path / "packed"), Options(features=features))
  with pytest.raises(ConfigError, match=words):
    scoring_run.score_records(model, packed(tmp_path / "packed"), str(tmp_path / "out"), ids=[])


def test_what_was_made_otherwise_is_no_input_of_a_checkpoint(folder, tmp_path):
  mask = "train_data.seg_dense_schema.mask_mantissa_features={continuous: 4}"
  pack(user_config(folder, mask).train_data, str(tmp_path / "packed"))
  config = user_config(folder)
  model = example_scorer.checkpoint_model(config, f"{config.training.save_dir}/checkpoints/step-0")
  with pytest.raises(ConfigError, match="'continuous': masked_mantissa_bits is 4 in the packed"):
    scoring_run.score_records(model, packed(tmp_path / "packed"), str(tmp_path / "out"))


@pytest.mark.parametrize("ids", [["meta.tweet_id"], ["record.continuous"], ["meta.user_id"] * 2])
def test_ids_that_were_not_packed(folder, model, tmp_path, ids):
  with pytest.raises(ConfigError, match=r"--ids: found '.*(were packed: meta.user_id|2 times)"):
    scoring_run.score_records(model, packed(folder / "packed"), str(tmp_path / "out"), ids=ids)


def test_a_record_of_something_else_is_named(folder, model, tmp_path):
  shutil.copytree(folder / "packed", tmp_path / "packed")
  path = tmp_path / "packed" / "part-00001-of-00003.tfrecord"
  records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
  records[2] = bytes(len(records[2]))
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      writer.write(record)
  with pytest.raises(DataError, match=r"part-00001-of-00003.tfrecord: record 2: is no packed"):
    scoring_run.score_records(model, packed(tmp_path / "packed"), str(tmp_path / "out"))
  assert (tmp_path / "out" / "part-00000-of-00003.parquet").exists()


def test_records_and_packed_ones_together_are_refused(folder):
  with pytest.raises(DataError, match="holds packed records .* and .* does not"):
    scoring_run.inputs_of_glob(f"{folder}/[dp]a[tc]*/part*")


def test_a_model_of_no_finite_scores(folder, model, tmp_path):
  def load():
    loaded = model.load()

    def broken(inputs):
      outputs = dict(loaded.of_inputs(inputs))
      row = tf.range(len(outputs["score"])) == 7
      return {**outputs, "score": tf.where(row, np.nan, outputs["score"])}

    return dataclasses.replace(loaded, of_inputs=broken)

  broken = example_scorer.Model("broken", "broken", load)
  with pytest.raises(CheckpointError, match=r"part-00000-of-00003.tfrecord: example 7"):
    scoring_run.score_records(broken, packed(folder / "packed"), str(tmp_path / "out"))
