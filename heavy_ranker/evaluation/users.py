"""Which user an example belongs to."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.evaluation import PER_USER_METRICS
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError
from tfrecords.schema import Feature

_HASH_BUCKETS = 2**63 - 1


def why_no_users(
  config: HeavyRankerConfig, features: Mapping[str, Feature], key: str
) -> Optional[str]:
  """Returns why a partition's examples have no user; None if they have.

  Args:
    config: the whole configuration.
    features: what the partition reads, by name inside the model.
    key: the partition's path in the configuration, for the messages.

  Raises:
    ConfigError: they have none although the configuration asks for it, or the feature is not one
      integer or string an example.
  """
  name = config.evaluation.user_feature
  feature = features.get(name)
  if feature is None:
    reason = f"{key} reads no feature {name!r} (evaluation.user_feature)"
    asking = _asking(config)
    if asking:
      raise ConfigError(
        f"{asking}: {reason}{did_you_mean(name, features)}; name the feature that says which user "
        f"an example belongs to under {key}.seg_dense_schema.renamed_features"
      )
    return reason
  if feature.dtype == "float_list" or feature.length != 1:
    raise ConfigError(
      f"evaluation.user_feature: {name!r} is {feature.dtype} of length {feature.length} in {key}, "
      "allowed: int64_list or bytes_list of length 1"
    )
  return None


def _asking(config: HeavyRankerConfig) -> str:
  """Returns the key by which a configuration insists on users, or an empty string."""
  if "user_feature" in config.evaluation.model_fields_set:
    return "evaluation.user_feature"
  listed: Sequence[str] = config.which_metrics or ()
  names = [name for name in PER_USER_METRICS if name in listed]
  return f"which_metrics ({', '.join(names)})" if names else ""


def user_ids(column: tf.Tensor) -> np.ndarray:
  """Returns numbers that stand for users, int64 [n].

  Args:
    column: integers, or strings (which are hashed), [n, 1].
  """
  if column.dtype == tf.string:
    column = tf.strings.to_hash_bucket_fast(column, _HASH_BUCKETS)
  return tf.cast(column, tf.int64).numpy()[:, 0]
