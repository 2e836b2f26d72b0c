"""Scores a file on a server: records in as many requests as it takes, or a request as it is."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.client import Client
from heavy_ranker.serving.offline_scoring.record_ids import IdReader, find_ids
from heavy_ranker.serving.ranking import SCORE, Ranking, rank
from heavy_ranker.serving.request_file import read_request
from heavy_ranker.serving.serving_error import ServingError
from heavy_ranker.serving.signatures import SCORE_EXAMPLES, SERVING_DEFAULT
from tfrecords import diagnosis, paths
from tfrecords.errors import DataError
from tfrecords.progress import progress_bar
from tfrecords.shards import Shard, find_shards, require_unpacked

_REQUEST = ".json"


def score_file(
  client: Client,
  path: str,
  signature: Optional[str] = None,
  ids: Optional[Sequence[str]] = None,
  examples_a_request: int = 256,
) -> Ranking:
  """Scores a file of records (or several, named by a glob), or a request in a file named *.json.

  Args:
    client: the client.
    path: the file.
    signature: the signature; None means what a request names, else `serving_default`, and
      `score_examples` for records.
    ids: features of the records to keep; None takes those that begin with "meta.".
    examples_a_request: how many records go into a request.

  Raises:
    DataError: the file cannot be read, or holds neither.
    ServingError: the server refuses a request, or its answer has no score.
  """
  if path.endswith(_REQUEST):
    request = read_request(paths.resolve(path, "--input_path"))
    name = signature or request.signature or SERVING_DEFAULT
    inputs = request.inputs(client.signature(name).inputs)
    return _ranked([client.score(inputs, name)], [{}])
  files = find_shards(path, "--input_path")
  require_unpacked(files, "--input_path")
  reader = IdReader(find_ids(files[0], ids))
  answers, columns = [], []
  with progress_bar(description="scoring", unit="record") as bar:
    for file in files:
      with diagnosis.Explained([file], reader.check, "--input_path"):
        start = 0
        for records in _batches(file, examples_a_request):
          columns.append(reader.read(records, start, file.path))
          answers.append(_score(client, records.numpy(), signature, file.path, start))
          start += len(records)
          bar.update(len(records))
  return _ranked(answers, columns)


def _score(
  client: Client, records: np.ndarray, signature: Optional[str], path: str, start: int
) -> dict[str, np.ndarray]:
  try:
    return client.score_examples(list(records), signature or SCORE_EXAMPLES)
  except ServingError as error:
    place = f"{path}: records {start} to {start + len(records) - 1}"
    raise ServingError(error.code, f"{place}: {error.message}") from None


def _batches(file: Shard, size: int) -> tf.data.Dataset:
  return tf.data.TFRecordDataset(file.path, compression_type=file.compression).batch(size)


def _ranked(
  answers: Sequence[dict[str, np.ndarray]], columns: Sequence[dict[str, np.ma.MaskedArray]]
) -> Ranking:
  for answer in answers:
    if SCORE not in answer or answer[SCORE].ndim != 1:
      raise DataError(f"the answer has no {SCORE!r} of one a candidate, found: {', '.join(answer)}")
  outputs = {
    name: np.concatenate([answer[name] for answer in answers])
    for name, values in answers[0].items()
    if values.ndim
  }
  ids = {name: np.ma.concatenate([part[name] for part in columns]) for name in columns[0]}
  return rank(outputs, ids)
