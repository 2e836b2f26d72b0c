"""Exports in fewer bits: both signatures, a TF1 session, the report, every refusal."""

import json

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, calibrate, export, make_dataset, train
from heavy_ranker.calibration.applied import applied_calibration
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from tests.heavy_ranker.small_run import TASKS, assert_outputs_close, small_config, write_records
from tfrecords.errors import CheckpointError, ConfigError, DataError, PrecisionError

BAZEL_SIZE = "large"

LOWER = ("export.min_elements=12", "export.max_score_change=0.5", "export.min_kendall_tau=0.9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("precision")
  config = small_config(path)
  train(config)
  calibrate(config)
  return path


@pytest.fixture(scope="module")
def features(folder):
  partition = small_config(folder).validation_data["validation"]
  partition = partition.model_copy(update={"global_batch_size": 120})
  features, _, _ = next(iter(make_dataset(partition, "evaluate")))
  return features


@pytest.fixture(scope="module")
def expected(folder, features):
  config, checkpoint = small_config(folder), latest_checkpoint(str(folder / "run"))
  ranker = build_model(config, calibration=applied_calibration(config, checkpoint))
  restore_weights(ranker, checkpoint)
  return ranker({name: features[name] for name in ranker.input})


def lower_config(folder, precision, *overrides):
  return small_config(folder, *LOWER, f"export.precision={precision}", *overrides)


@pytest.mark.parametrize("matmul_precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_both_signatures_and_a_tf1_session(
  precision, matmul_precision, folder, features, expected, tmp_path, capsys
):
  override = f"export.matmul_precision={matmul_precision}"
  target = export(lower_config(folder, precision, override), export_dir=str(tmp_path))
  loaded = tf.saved_model.load(target)
  serve = loaded.signatures["serving_default"]
  inputs = {name: features[name] for name in serve.structured_input_signature[1]}
  outputs = serve(**inputs)
  probabilities = expected["calibrated_probabilities"]
  assert np.abs(outputs["probabilities"] - probabilities).max() < 0.05
  np.testing.assert_array_equal(outputs[TASKS[1]], outputs["probabilities"][:, 1])

  files = sorted(str(path) for path in (folder / "data").glob("*.gz"))
  records = [record for file in files for record in tf.data.TFRecordDataset(file, "GZIP")]
  of_records = loaded.signatures["score_examples"](tf.stack(records))
  # An input of a product that is rounded to the other side is off by more.
  tolerance = 1e-5 if matmul_precision == "float32" else 1e-3
  assert_outputs_close(of_records, {"score": outputs["score"]}, tolerance)

  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], target)
    signature = meta_graph.signature_def["serving_default"]
    feed = {signature.inputs[name].name: value.numpy() for name, value in inputs.items()}
    in_session = session.run(signature.outputs["score"].name, feed)
  assert_outputs_close({"score": in_session}, {"score": outputs["score"]}, tolerance)

  with open(f"{target}/assets.extra/precision.json", encoding="utf-8") as file:
    stored = json.load(file)
  assert (stored["precision"], stored["matmul_precision"]) == (precision, matmul_precision)
  assert stored["partition"] == "validation"
  changes = np.abs(outputs["score"] - expected["score"]) / np.std(expected["score"])
  change = stored["change"]
  assert change["examples"] == 120
  assert change["largest_score_change"] == pytest.approx(changes.max(), rel=0.02)
  assert change["mean_score_change"] == pytest.approx(changes.mean(), rel=0.02)
  assert list(change["largest_logit_changes"]) == list(TASKS)
  assert "120 examples, compared with float32" in capsys.readouterr().out


def _variables(target):
  """Returns shape and dtype of each stored variable."""
  reader = tf.train.load_checkpoint(f"{target}/variables/variables")
  dtypes = reader.get_variable_to_dtype_map()
  shapes = reader.get_variable_to_shape_map()
  return {name: (tuple(shapes[name]), dtypes[name]) for name in shapes if "weights" in name}


def test_the_file_holds_each_matrix_once(folder, tmp_path):
  target = export(lower_config(folder, "int8"), export_dir=str(tmp_path))
  by_dtype = {
    wanted: sorted(shape for shape, dtype in _variables(target).values() if dtype == wanted)
    for wanted in (tf.int8, tf.float32)
  }
  assert all(len(shape) == 2 and np.prod(shape) >= 12 for shape in by_dtype[tf.int8])
  scales = [(1, columns) for _, columns in by_dtype[tf.int8]]
  left = list(by_dtype[tf.float32])
  for shape in scales:
    left.remove(shape)
  assert all(np.prod(shape) < 12 or len(shape) == 1 for shape in left)


def test_float32_is_what_it_was(folder, tmp_path):
  target = export(small_config(folder, *LOWER), export_dir=str(tmp_path))
  assert {dtype for _, dtype in _variables(target).values()} <= {tf.float32, tf.int64}
  files = sorted(path.name for path in (tmp_path / "1" / "assets.extra").iterdir())
  assert files == ["origin.json", "score.json", "tf_serving_warmup_requests"]


def test_few_examples(folder, tmp_path, capsys):
  export(lower_config(folder, "int8", "export.max_examples=21"), export_dir=str(tmp_path))
  assert "21 examples, compared with float32" in capsys.readouterr().out


@pytest.mark.parametrize("override", ["export.max_score_change=1e-9", "export.min_kendall_tau=1.0"])
def test_a_change_beyond_a_bound_exports_nothing(override, folder, tmp_path, capsys):
  config = lower_config(folder, "int8", "export.matmul_precision=bfloat16", override)
  with pytest.raises(PrecisionError, match=override.split("=")[0]):
    export(config, export_dir=str(tmp_path))
  assert list(tmp_path.iterdir()) == []
  assert "Kendall's tau is" in capsys.readouterr().out


def test_without_a_comparison_nothing_is_read(folder, tmp_path):
  config = lower_config(
    folder, "int8", "export.check_precision=false", "validation_data=null",
    "export.max_score_change=1e-9",
  )  # fmt: skip
  target = export(config, export_dir=str(tmp_path))
  with open(f"{target}/assets.extra/precision.json", encoding="utf-8") as file:
    stored = json.load(file)
  assert (stored["change"], stored["partition"]) == (None, None)


def test_no_file_to_compare_on(folder, tmp_path):
  config = lower_config(folder, "int8", f"validation_data.validation.inputs={tmp_path}/*.gz")
  with pytest.raises(DataError, match="validation_data.validation.inputs: no file matches"):
    export(config, export_dir=str(tmp_path))


def test_examples_of_one_score(folder, tmp_path):
  inputs = write_records(tmp_path / "one", num_examples=1, num_shards=1)
  config = lower_config(folder, "int8", f"validation_data.validation.inputs={inputs}")
  with pytest.raises(
    DataError, match="found 1 example.* of one score, allowed: scores that differ"
  ):
    export(config, export_dir=str(tmp_path / "saved"))


def test_empty_files(folder, tmp_path):
  inputs = write_records(tmp_path / "none", num_examples=0, num_shards=1)
  config = lower_config(folder, "int8", f"validation_data.validation.inputs={inputs}")
  with pytest.raises(DataError):
    export(config, export_dir=str(tmp_path / "saved"))


def test_weights_that_are_not_finite(folder, tmp_path, monkeypatch):
  def restore(ranker, checkpoint):
    restore_weights(ranker, checkpoint)
    ranker.trainable_variables[-1].assign(ranker.trainable_variables[-1] * np.nan)

  monkeypatch.setattr("heavy_ranker.serving.exporter.restore_weights", restore)
  with pytest.raises(CheckpointError, match="not finite"):
    export(lower_config(folder, "int8"), export_dir=str(tmp_path))


def test_a_model_too_small(folder, tmp_path):
  with pytest.raises(ConfigError, match="export.min_elements"):
    export(small_config(folder, "export.precision=int8"), export_dir=str(tmp_path))
