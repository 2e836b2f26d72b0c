"""The signature `rank`: one user, many candidates, the best first."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from heavy_ranker.serving.rank_inputs import K, RankInput

RANK = "rank"


def make_rank(
  predict: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]],
  inputs: Sequence[RankInput],
  dtypes: Mapping[str, tf.DType],
) -> Callable:
  """Returns the signature's tf.function.

  It takes the user's inputs [1, width] (a part of an input under `user_NAME`), the candidates'
  inputs [n, width] under their own names, and `k`, a scalar int32. `k` may be left out wherever
  defaults of a SignatureDef are known: in tensorflow_model_server and in TF1 sessions, but not in
  `tf.saved_model.load(...).signatures`.

  It returns `score` [n] and `probabilities` [n, tasks], both in the order of the candidates, and
  `order`, int32 [n]: the candidates' positions, the best first, those of equal scores as they
  came. With k above 0 it holds the best k only. A negative k is an error. Scores are those of
  `serving_default` for the user's inputs repeated n times.

  Args:
    predict: from `heavy_ranker.serving.signatures.make_predict`.
    inputs: how the model's inputs are divided.
    dtypes: dtype by input of the model.
  """
  specs = {**rank_specs(inputs, dtypes), K: tf.TensorSpec([], tf.int32, K)}

  def rank(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
    given = dict(zip(specs, arguments))
    outputs = predict(_model_inputs(inputs, given))
    return {
      "score": outputs["score"],
      "probabilities": outputs["probabilities"],
      "order": _best_first(outputs["score"], given[K]),
    }

  # A SavedModel takes names and defaults of a signature's inputs from its function's parameters.
  rank.__signature__ = inspect.Signature(
    [
      inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=tf.constant(0) if name == K else inspect.Parameter.empty,
      )
      for name in specs
    ]
  )
  return tf.function(rank, input_signature=list(specs.values()), autograph=False)


def rank_specs(
  inputs: Sequence[RankInput], dtypes: Mapping[str, tf.DType]
) -> dict[str, tf.TensorSpec]:
  """Returns shape and dtype of the signature's inputs by name, the user's first, without `k`."""
  users = [(each, each.user_name, 1, each.user_columns) for each in inputs]
  candidates = [(each, each.name, None, each.candidate_columns) for each in inputs]
  return {
    name: tf.TensorSpec([rows, len(columns)], dtypes[each.name], name)
    for each, name, rows, columns in (*users, *candidates)
    if columns
  }


def split_inputs(
  inputs: Sequence[RankInput], dense: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns what `rank` takes, without `k`, out of what `serving_default` takes.

  Args:
    inputs: how the model's inputs are divided.
    dense: arrays [n, width] by input of the model, n at least 1; the first row's user counts.
  """
  users = {
    each.user_name: dense[each.name][:1, list(each.user_columns)]
    for each in inputs
    if each.user_columns
  }
  candidates = {
    each.name: dense[each.name][:, list(each.candidate_columns)]
    for each in inputs
    if each.candidate_columns
  }
  return {**users, **candidates}


def _model_inputs(
  inputs: Sequence[RankInput], given: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
  first = next(each.name for each in inputs if each.candidate_columns)
  count = tf.shape(given[first])[0]
  return {each.name: _whole_input(each, given, count) for each in inputs}


def _whole_input(each: RankInput, given: Mapping[str, tf.Tensor], count: tf.Tensor) -> tf.Tensor:
  """Returns an input of the model, [count, width]."""
  if not each.user_columns:
    return given[each.name]
  users = tf.broadcast_to(given[each.user_name], [count, len(each.user_columns)])
  if not each.candidate_columns:
    return users
  joined = tf.concat([given[each.name], users], axis=1)
  place = {column: i for i, column in enumerate((*each.candidate_columns, *each.user_columns))}
  return tf.gather(joined, [place[column] for column in range(each.width)], axis=1)


def _best_first(scores: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
  not_negative = tf.debugging.assert_non_negative(
    k, f"{K}: found a negative number, allowed: 0 (all candidates) or how many of the best"
  )
  with tf.control_dependencies([not_negative]):
    count = tf.shape(scores)[0]
    wanted = tf.where(tf.equal(k, 0), count, tf.minimum(k, count))
  # Of equal values top_k puts the one that came first in front.
  return tf.math.top_k(scores, wanted).indices
