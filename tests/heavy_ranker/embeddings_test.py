"""Small and large embeddings and position debias, from training to serving."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, evaluate, export, make_dataset, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights, weights_by_name
from heavy_ranker.full_run import train_evaluate_export
from heavy_ranker.training.run_log import tensorboard_folder
from tests.heavy_ranker import id_run
from tests.heavy_ranker.small_run import TASKS
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import CheckpointError

BAZEL_SIZE = "large"
_INT64 = np.iinfo(np.int64)


def _stored(folder):
  checkpoint = latest_checkpoint(str(folder / "run"))
  return {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if "data_position" not in name and "GRAPH" not in name and "save_counter" not in name
  }


def _weight(folder, name):
  return tf.train.load_checkpoint(latest_checkpoint(str(folder / "run"))).get_tensor(
    f"weights/{name.replace('.', '..').replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
  )


def _steps(number):
  return ("training", "num_train_steps", number)


@pytest.fixture(name="trained", scope="module")
def trained_fixture(tmp_path_factory):
  """A run of 6 steps, measured and exported; the files its tables started with are gone."""
  folder = tmp_path_factory.mktemp("trained")
  config = id_run.id_config(folder)
  with pytest.MonkeyPatch.context() as monkeypatch:
    leave_report_out(monkeypatch)
    saved = train_evaluate_export(config, export_dir=str(folder / "saved"))
  id_run.vocabulary_path(folder).unlink()
  id_run.pretrained_path(folder).unlink()
  return folder, config, tf.saved_model.load(saved)


def _batch(config):
  features, _, _ = next(iter(make_dataset(config.train_data, "evaluate")))
  return {name: features[name] for name in id_run.WIDTHS}


def _served(loaded, inputs):
  return {k: v.numpy() for k, v in loaded.signatures["serving_default"](**inputs).items()}


@pytest.mark.parametrize("algorithm", ["sgd", "adagrad"])
def test_a_resumed_run_equals_one_that_never_stopped_and_needs_no_file(
  algorithm, trained, tmp_path
):
  change = ("model", "large_embeddings", "optimizer", "algorithm", algorithm)
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  for folder in (whole, parts):
    folder.mkdir()
  if trained[1].model.large_embeddings.optimizer.algorithm == algorithm:
    whole = trained[0]
  else:
    train(id_run.id_config(whole, change, _steps(6)))
  train(id_run.id_config(parts, change, _steps(3)))
  id_run.vocabulary_path(parts).unlink()
  id_run.pretrained_path(parts).unlink()
  train(id_run.id_config(parts, change, _steps(6)))
  expected, found = _stored(whole), _stored(parts)
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    if "data_fingerprint" not in name:
      np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_every_table_learns_and_only_rows_in_use_of_the_large_ones(trained):
  folder, config, _ = trained
  initial = {name: x.numpy() for name, x in weights_by_name(build_model(config)).items()}
  for name in ("small_embedding.language", "small_embedding.device", "position_debias/positions"):
    name = f"{name}/embeddings"
    assert (_weight(folder, name) != initial[name]).any(axis=1).all(), name
  name = "large_embedding.meta__author_id/listed_embeddings"
  moved = (_weight(folder, name) != initial[name]).any(axis=1)
  rows = {author: row for row, author in enumerate(id_run.VOCABULARY)}
  # Pretrained, but in no record; in the vocabulary, but neither; the row of unknown ids.
  assert moved[rows[12]] and not moved[rows[14]] and moved[id_run.MOST_AUTHORS]
  assert moved[[rows[author] for author in (7, 3, 11, 1, 2)]].all()
  assert not moved[len(rows) : id_run.MOST_AUTHORS].any()


def test_the_checkpoint_holds_the_vocabulary(trained):
  ids = _weight(trained[0], "large_embedding.meta__author_id/vocabulary/ids")
  rows = _weight(trained[0], "large_embedding.meta__author_id/vocabulary/rows")
  found = [int(ids[list(rows).index(row)]) for row in range(len(id_run.VOCABULARY))]
  assert tuple(found) == id_run.VOCABULARY


def test_rates_and_row_lengths_are_logged(trained):
  tags = {}
  for path in tf.io.gfile.glob(f"{tensorboard_folder(str(trained[0] / 'run'))}/train/*"):
    for event in tf.compat.v1.train.summary_iterator(path):
      tags.update({(value.tag, event.step): value for value in event.summary.value})
  rates = [
    float(tf.make_ndarray(tags["learning_rate/large_embeddings", step].tensor))
    for step in (1, 2, 3)
  ]
  assert rates == [0.0, 0.25, 0.5]
  assert ("row_length/tags", 6) in tags
  assert ("row_length/meta__author_id", 6) not in tags


def test_evaluation_and_export_need_no_file(trained, monkeypatch):
  leave_report_out(monkeypatch)
  folder, config, _ = trained
  assert set(evaluate(config)["validation"]) == set(TASKS)
  assert export(config, export_dir=str(folder / "again"))


def test_trained_scores_equal_served_ones(trained):
  folder, config, loaded = trained
  ranker, inputs = build_model(config), _batch(config)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  expected = ranker(inputs)["score"]
  np.testing.assert_allclose(_served(loaded, inputs)["score"], expected, rtol=1e-6, atol=1e-6)
  files = sorted(str(path) for path in (folder / "data").glob("*.gz"))
  (records,) = tf.data.TFRecordDataset(files, "GZIP").batch(16).take(1)
  found = loaded.signatures["score_examples"](examples=records)["score"]
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_export_takes_integers_where_tables_are_looked_up(trained):
  _, specs = trained[2].signatures["serving_default"].structured_input_signature
  assert {name for name, spec in specs.items() if spec.dtype == tf.int64} == set(id_run.IDS)
  assert {name: spec.shape[1] for name, spec in specs.items()} == id_run.WIDTHS


def _change(inputs, name, column, values):
  changed = inputs[name].numpy()
  changed[:, column] = values
  return {**inputs, name: tf.constant(changed)}


def test_the_served_score_does_not_depend_on_the_position(trained):
  _, config, loaded = trained
  inputs = _batch(config)
  expected = _served(loaded, inputs)["score"]
  for position in (0, 4, -1, 10**9):
    moved = _change(inputs, "discrete", id_run.POSITION, position)
    np.testing.assert_array_equal(_served(loaded, moved)["score"], expected)


@pytest.mark.parametrize(
  ("name", "column", "same", "other"),
  [
    ("discrete", id_run.LANGUAGE, (-1, 4, 2**31, _INT64.min, _INT64.max), 3),
    ("discrete", id_run.DEVICE, (-7, 2, _INT64.max), 1),
    ("meta__author_id", 0, (0, 99, -6, _INT64.min, _INT64.max), -5),
  ],
)
def test_ids_without_a_row_of_their_own_share_one(trained, name, column, same, other):
  _, config, loaded = trained
  inputs = _batch(config)
  first, *rest = [
    _served(loaded, _change(inputs, name, column, value))["score"] for value in (*same, other)
  ]
  assert np.isfinite(first).all()
  for scores in rest[:-1]:
    np.testing.assert_array_equal(scores, first)
  assert (rest[-1] != first).all()


def test_another_vocabulary_is_refused(tmp_path):
  train(id_run.id_config(tmp_path, _steps(1)))
  path = id_run.vocabulary_path(tmp_path)
  content = path.read_text()
  for changed in (content.replace("11", "10"), f"{content}4\n", content.replace("7\n3", "3\n7")):
    path.write_text(changed)
    with pytest.raises(CheckpointError, match="vocab: .*authors.txt holds other ids, or the same"):
      train(id_run.id_config(tmp_path, _steps(2)))
  path.write_text(content.replace("\n", "\r\n"))
  assert len(train(id_run.id_config(tmp_path, _steps(2)))) == 1


def test_hashed_rows_are_not_taken_for_listed_ones(tmp_path):
  config = id_run.id_config(tmp_path, _steps(1))
  train(config)
  change = ("model", "large_embeddings", "tables", 0, "vocab", None)
  with pytest.raises(CheckpointError, match="only in the model: .*author_id/hashed_embeddings"):
    train(id_run.id_config(tmp_path, change, _steps(2)))
  warm = [("training", "initial_checkpoint_dir", str(tmp_path / "run")), _steps(1)]
  warm.append(("training", "save_dir", str(tmp_path / "warm")))
  assert train(id_run.id_config(tmp_path, *warm, change))
  path = id_run.vocabulary_path(tmp_path)
  path.write_text(path.read_text().replace("11", "10"))
  warm[-1] = ("training", "save_dir", str(tmp_path / "warm_other"))
  with pytest.raises(CheckpointError, match="trained with in .*run"):
    train(id_run.id_config(tmp_path, *warm))


def test_a_position_alone_is_not_asked_for_in_serving(tmp_path):
  changes = [("model", "small_embeddings", None), _steps(1), ("validation_data", {})]
  config = id_run.id_config(tmp_path, *changes)
  train(config)
  loaded = tf.saved_model.load(export(config, export_dir=str(tmp_path / "saved")))
  _, specs = loaded.signatures["serving_default"].structured_input_signature
  assert set(specs) == set(id_run.WIDTHS) - {"discrete"}
  inputs = _batch(config)
  ranker = build_model(config)
  restore_weights(ranker, latest_checkpoint(str(tmp_path / "run")))
  expected = ranker(inputs)["score"]
  del inputs["discrete"]
  np.testing.assert_allclose(_served(loaded, inputs)["score"], expected, rtol=1e-6, atol=1e-6)
