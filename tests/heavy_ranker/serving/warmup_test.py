"""Tests of `heavy_ranker.serving.warmup`: what a server replays before it serves."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from heavy_ranker.serving.warmup import BATCH_SIZES, LARGEST_BATCH, WARMUP_FILE, warmup_requests
from tests.heavy_ranker import id_run
from tests.heavy_ranker.serving.saved_module import save_module
from tests.heavy_ranker.small_run import WIDTHS, small_config

SIGNATURES = ("serving_default", "score_examples", "rank")


@pytest.fixture(name="exports", scope="module")
def exports_fixture(tmp_path_factory):
  """Folders of two exports, with their modules and configurations."""
  exports = {}
  for name, make_config in (("floats", small_config), ("ids", id_run.id_config)):
    folder = tmp_path_factory.mktemp(name)
    config = make_config(folder)
    exports[name] = folder / "1", save_module(config, folder / "1"), config
  return exports


def _requests(folder):
  """The file, read as a server reads it."""
  requests = []
  for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
    log = prediction_log_pb2.PredictionLog.FromString(record)
    assert log.WhichOneof("log_type") == "predict_log"
    requests.append(log.predict_log.request)
  return requests


@pytest.mark.parametrize("name", ["floats", "ids"])
def test_every_request_can_be_answered(exports, name):
  loaded = tf.saved_model.load(str(exports[name][0]))
  answered = []
  for request in _requests(exports[name][0]):
    signature = request.model_spec.signature_name
    inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
    outputs = loaded.signatures[signature](**inputs)
    assert set(request.output_filter) <= set(outputs)
    assert np.isfinite(outputs["score"]).all()
    for value in inputs.values():
      assert value.dtype == tf.string or np.isfinite(value.numpy()).all()
    answered.append((outputs["score"].shape[0], signature))
  assert answered == [(size, signature) for size in BATCH_SIZES for signature in SIGNATURES]
  assert set(loaded.signatures) == set(SIGNATURES)


def test_a_batching_server_can_answer_too(exports):
  """It refuses batches above its limit; of other first dimensions it takes requests for some
  outputs only, which it does not batch."""
  for request in _requests(exports["ids"][0]):
    shapes = [
      [dim.size for dim in value.tensor_shape.dim] or [None] for value in request.inputs.values()
    ]
    assert all(rows is None or rows <= LARGEST_BATCH for rows, *_ in shapes)
    if len({rows for rows, *_ in shapes}) > 1:
      assert request.model_spec.signature_name == "rank"
      assert set(request.output_filter) == {"order", "score"}
    else:
      assert not request.output_filter


def test_the_requests_agree_and_values_are_those_of_records(exports):
  by_signature = {}
  for request in _requests(exports["floats"][0])[-3:]:
    by_signature[request.model_spec.signature_name] = {
      key: tf.make_ndarray(value) for key, value in request.inputs.items()
    }
  dense, ranked = by_signature["serving_default"], by_signature["rank"]
  assert set(dense) == set(WIDTHS)
  np.testing.assert_array_equal(ranked["author_embedding"], dense["author_embedding"])
  np.testing.assert_array_equal(ranked["user_embedding"], dense["user_embedding"][:1])
  assert set(np.unique(dense["binary"])) == {0, 1}
  assert 0.9 < dense["continuous"].std() < 1.1
  (example,) = [tf.train.Example.FromString(by_signature["score_examples"]["examples"][5])]
  values = example.features.feature["record.continuous"].float_list.value
  assert len(values) == WIDTHS["continuous"]
  np.testing.assert_array_equal(dense["continuous"][5], np.float32(values[:7]))


def test_the_same_configuration_gives_the_same_requests(exports):
  folder, module, config = exports["floats"]
  assert list(warmup_requests(config, module)) == _requests(folder)
