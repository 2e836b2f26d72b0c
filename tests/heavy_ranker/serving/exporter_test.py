"""The export: served scores equal trained ones, whole or not at all, stock ops only."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from heavy_ranker import build_model, export, make_dataset, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from heavy_ranker.serving import exporter
from tests.heavy_ranker.small_run import TASKS, WIDTHS, make_example, small_config
from tfrecords.errors import ConfigError, StorageError

_OUTPUTS = {"score", "probabilities", *TASKS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("export")
  config = small_config(path)
  train(config)
  export(config, export_dir=str(path / "saved"))
  return path


@pytest.fixture(scope="module")
def trained(folder):
  """Features, raw records and what the restored model says of them."""
  config = small_config(folder)
  ranker = build_model(config)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  partition = config.validation_data["validation"].model_copy(update={"global_batch_size": 120})
  features, _, _ = next(iter(make_dataset(partition, "evaluate")))
  files = sorted(str(path) for path in (folder / "data").glob("*.gz"))
  records = [record for file in files for record in _records(file)]
  outputs = ranker(features)
  return {name: features[name] for name in WIDTHS}, records, outputs


def _records(path):
  return [record.numpy() for record in tf.data.TFRecordDataset(path, "GZIP")]


def _check(outputs, expected):
  assert set(outputs) == _OUTPUTS
  np.testing.assert_allclose(outputs["score"], expected["score"], rtol=1e-6, atol=1e-6)
  probabilities = expected["calibrated_probabilities"]
  np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=0, atol=1e-6)
  for position, task in enumerate(TASKS):
    np.testing.assert_allclose(outputs[task], probabilities[:, position], rtol=0, atol=1e-6)


def test_serving_default_equals_the_trained_model(folder, trained):
  features, _, expected = trained
  loaded = tf.saved_model.load(str(folder / "saved" / "1"))
  _check(loaded.signatures["serving_default"](**features), expected)


def test_score_examples_equals_the_trained_model_in_record_order(folder, trained):
  features, records, expected = trained
  loaded = tf.saved_model.load(str(folder / "saved" / "1"))
  found = loaded.signatures["score_examples"](tf.constant(records))
  # The pipeline interleaves files: bring both into the order of their scores.
  np.testing.assert_allclose(
    np.sort(found["score"]), np.sort(expected["score"]), rtol=1e-6, atol=1e-6
  )
  parsed = [tf.train.Example.FromString(record) for record in records]
  by_first_value = {
    np.float32(example.features.feature["record.continuous"].float_list.value[0]): score
    for example, score in zip(parsed, found["score"].numpy())
  }
  for row, score in zip(features["continuous"].numpy(), expected["score"].numpy()):
    assert by_first_value[row[0]] == pytest.approx(score, rel=1e-6, abs=1e-6)


def test_a_tf1_session_gives_the_same(folder, trained):
  features, _, expected = trained
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "saved" / "1"))
    signature = meta_graph.signature_def["serving_default"]
    feed = {signature.inputs[name].name: value.numpy() for name, value in features.items()}
    fetch = {name: info.name for name, info in signature.outputs.items()}
    outputs = session.run(fetch, feed)
  _check(outputs, expected)


def test_rank_needs_the_user_once_and_no_k_in_a_session(folder, trained):
  features, _, expected = trained
  values = {name: value.numpy() for name, value in features.items()}
  # The user of the first example with the candidates of all.
  values["user_embedding"] = np.tile(values["user_embedding"][:1], [len(expected["score"]), 1])
  loaded = tf.saved_model.load(str(folder / "saved" / "1"))
  scored = loaded.signatures["serving_default"](**{k: tf.constant(v) for k, v in values.items()})
  values["user_embedding"] = values["user_embedding"][:1]
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "saved" / "1"))
    signature = meta_graph.signature_def["rank"]
    feed = {signature.inputs[name].name: value for name, value in values.items()}
    fetch = {name: info.name for name, info in signature.outputs.items()}
    everyone = session.run(fetch, feed)
    best = session.run(fetch, {**feed, signature.inputs["k"].name: np.int32(3)})
  assert set(everyone) == {"score", "probabilities", "order"}
  for name in ("score", "probabilities"):
    np.testing.assert_allclose(everyone[name], scored[name], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(best[name], everyone[name])
  assert everyone["order"].tolist() == np.argsort(-everyone["score"], kind="stable").tolist()
  assert best["order"].tolist() == everyone["order"][:3].tolist()


def test_any_number_of_candidates_even_one_or_none(folder, trained):
  features, _, expected = trained
  serve = tf.saved_model.load(str(folder / "saved" / "1")).signatures["serving_default"]
  for size in (0, 1, 7):
    part = {name: value[:size] for name, value in features.items()}
    np.testing.assert_allclose(
      serve(**part)["score"], expected["score"][:size], rtol=1e-6, atol=1e-6
    )


def test_a_record_without_features_or_labels_still_gets_a_finite_score(folder):
  serve = tf.saved_model.load(str(folder / "saved" / "1")).signatures["score_examples"]
  empty = tf.train.Example().SerializeToString()
  assert np.isfinite(serve(tf.constant([empty]))["score"]).all()


def test_only_stock_ops_and_no_keras(folder):
  content = (folder / "saved" / "1" / "saved_model.pb").read_bytes()
  saved_model = saved_model_pb2.SavedModel.FromString(content)
  graph = saved_model.meta_graphs[0].graph_def
  used = {node.op for node in graph.node}
  defined = {field.name: value for field, value in graph.ListFields()}["library"].function
  used |= {node.op for function in defined for node in function.node_def}
  functions = {function.signature.name for function in defined}
  assert "PyFunc" not in used
  assert all(tf.raw_ops.__dict__.get(op) or op.startswith("_") for op in used - functions)
  assert not (folder / "saved" / "1" / "keras_metadata.pb").exists()


def test_other_score_weights_need_only_another_export(folder, trained):
  features, _, expected = trained
  overrides = [f"score.weights.{json.dumps(task)}={i + 1}" for i, task in enumerate(TASKS)]
  target = export(
    small_config(folder, *overrides), export_dir=str(folder / "reweighted"), version=7
  )
  assert target == str(folder / "reweighted" / "7")
  outputs = tf.saved_model.load(target).signatures["serving_default"](**features)
  wanted = expected["probabilities"].numpy() @ np.array([1.0, 2.0, 3.0])
  np.testing.assert_allclose(outputs["score"], wanted, rtol=1e-5)
  stored = json.loads((folder / "reweighted" / "7" / "assets.extra" / "score.json").read_text())
  assert stored["weights"] == {task: i + 1 for i, task in enumerate(TASKS)}
  assert stored["trained_steps"] == 6


def test_the_version_brings_its_warmup_requests(folder):
  path = str(folder / "saved" / "1" / "assets.extra" / "tf_serving_warmup_requests")
  records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
  logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
  names = {log.predict_log.request.model_spec.signature_name for log in logs}
  assert names == {"serving_default", "score_examples", "rank"}


def test_versions_count_up_and_never_change(folder, tmp_path):
  config = small_config(folder)
  assert export(config, export_dir=str(tmp_path)).endswith("/1")
  assert export(config, export_dir=str(tmp_path)).endswith("/2")
  before = (tmp_path / "2" / "saved_model.pb").read_bytes()
  with pytest.raises(StorageError, match="this version exists already"):
    export(config, export_dir=str(tmp_path), version=2)
  assert (tmp_path / "2" / "saved_model.pb").read_bytes() == before
  with pytest.raises(ConfigError, match="--version: found 0"):
    export(config, export_dir=str(tmp_path), version=0)


@pytest.mark.parametrize("step", ["_write_text", "write_warmup_requests"])
def test_an_export_that_fails_leaves_nothing(folder, tmp_path, monkeypatch, step):
  def fail(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(exporter, step, fail)
  with pytest.raises(StorageError, match="cannot be written: .*No space left"):
    export(small_config(folder), export_dir=str(tmp_path))
  assert list(tmp_path.iterdir()) == []


def _saved_model_cli(*arguments):
  program = shutil.which("saved_model_cli") or f"{sys.prefix}/bin/saved_model_cli"
  done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stdout


def test_saved_model_cli_shows_inputs_and_outputs(folder):
  text = _saved_model_cli("show", "--dir", str(folder / "saved" / "1"), "--all")
  assert "signature_def['serving_default']" in text
  assert "signature_def['score_examples']" in text
  assert "signature_def['rank']" in text
  for name in (*WIDTHS, "examples"):
    assert f"inputs['{name}']" in text
  for name in _OUTPUTS:
    assert f"outputs['{name}']" in text
  assert "shape: (-1, 7)" in text


def test_saved_model_cli_runs_dense_inputs(folder, trained, tmp_path):
  features, _, expected = trained
  np.savez(tmp_path / "inputs.npz", **{name: value.numpy() for name, value in features.items()})
  inputs = ";".join(f"{name}={tmp_path / 'inputs.npz'}[{name}]" for name in features)
  _saved_model_cli(
    "run", "--dir", str(folder / "saved" / "1"), "--tag_set", "serve", "--signature_def",
    "serving_default", "--inputs", inputs, "--outdir", str(tmp_path),
  )  # fmt: skip
  np.testing.assert_allclose(
    np.load(tmp_path / "score.npy"), expected["score"], rtol=1e-6, atol=1e-6
  )


def test_saved_model_cli_runs_records(folder, tmp_path):
  example = make_example(np.random.default_rng(9))
  plain = {
    name: list(feature.float_list.value or feature.int64_list.value)
    for name, feature in example.features.feature.items()
  }
  _saved_model_cli(
    "run", "--dir", str(folder / "saved" / "1"), "--tag_set", "serve", "--signature_def",
    "score_examples", "--input_examples", f"examples=[{plain}]", "--outdir", str(tmp_path),
  )  # fmt: skip
  serve = tf.saved_model.load(str(folder / "saved" / "1")).signatures["score_examples"]
  expected = serve(tf.constant([example.SerializeToString()]))["score"]
  np.testing.assert_allclose(np.load(tmp_path / "score.npy"), expected, rtol=1e-5)
