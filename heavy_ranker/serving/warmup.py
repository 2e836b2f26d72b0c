"""Requests a server answers to itself before the first user's, so that nobody waits for that.

tensorflow_model_server replays assets.extra/tf_serving_warmup_requests, a TFRecord file of
PredictionLogs, each time it has loaded a version, and a request that fails keeps the version from
being served. So there is nothing here that a server with batching would refuse: no batch above
LARGEST_BATCH, and of `rank` some outputs only, see docs/serving.md.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.serving.rank_inputs import K
from heavy_ranker.serving.rank_signature import RANK, split_inputs
from heavy_ranker.serving.signatures import SCORE_EXAMPLES, SERVING_DEFAULT, ServingModule
from tfrecords import preprocessing, schema
from tfrecords.random_records import RandomRecords
from tfrecords.serialization import serialize

MODEL_NAME = "heavy_ranker"
WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
# One, a few, many: more would only make the file larger, and many servers' limit for a batch is
# no higher.
BATCH_SIZES = (1, 16, 128)
LARGEST_BATCH = max(BATCH_SIZES)
_SEED = 0


def write_warmup_requests(config: HeavyRankerConfig, module: ServingModule, folder: str) -> None:
  """Writes the requests of every signature and batch size into an export.

  The inputs are random records of the schema, preprocessed; the same configuration gives the same
  bytes.

  Args:
    config: the whole configuration.
    module: what is exported.
    folder: the export's folder.

  Raises:
    tf.errors.OpError: the file cannot be written.
  """
  path = os.path.join(folder, WARMUP_FILE)
  tf.io.gfile.makedirs(os.path.dirname(path))
  with tf.io.TFRecordWriter(path) as writer:
    for request in warmup_requests(config, module):
      log = prediction_log_pb2.PredictLog(request=request)
      writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def warmup_requests(
  config: HeavyRankerConfig, module: ServingModule
) -> Iterator[predict_pb2.PredictRequest]:
  """Yields the requests; the large ones come last.

  Args:
    config: the whole configuration.
    module: what is exported.
  """
  examples = _random_examples(config, list(module.input_dtypes), LARGEST_BATCH)
  inputs = {name: value.numpy() for name, value in module.parse(tf.constant(examples)).items()}
  for size in BATCH_SIZES:
    dense = {name: value[:size] for name, value in inputs.items()}
    ranked = {**split_inputs(module.rank_inputs, dense), K: np.int32(0)}
    yield make_request(SERVING_DEFAULT, dense)
    yield make_request(SCORE_EXAMPLES, {"examples": np.array(examples[:size], object)})
    yield make_request(RANK, ranked, outputs=("order", "score"))


def make_request(
  signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()
) -> predict_pb2.PredictRequest:
  """Returns a request to a server.

  Args:
    signature: the signature's name.
    inputs: arrays by input name.
    outputs: those to send back; all when empty.
  """
  request = predict_pb2.PredictRequest(output_filter=outputs)
  request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, signature
  for name, value in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
  return request


def _random_examples(config: HeavyRankerConfig, inputs: list[str], count: int) -> list[bytes]:
  """Returns serialized records that hold what the model reads, and no labels."""
  section = config.train_data
  known = schema.features_of(section)
  sources = preprocessing.Preprocessor(section.preprocess).sources(inputs)
  features = {known[name].record_name: known[name] for name in sources}
  records = RandomRecords(features, labels=(), seed=_SEED)
  blocks = (serialize(records.block(index), features) for index in itertools.count())
  return list(itertools.islice(itertools.chain.from_iterable(blocks), count))
