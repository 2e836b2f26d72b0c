"""What the network reads: the model's inputs, and what becomes of them before the backbone."""

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.model import LargeEmbeddingTable, ModelConfig, SmallEmbeddingTable
from heavy_ranker.layers.embedding_norm import EmbeddingNorm
from heavy_ranker.layers.large_embedding import LargeEmbedding, large_embedding_name
from heavy_ranker.layers.position_debias import PositionDebias
from heavy_ranker.layers.small_embedding import SmallEmbedding
from heavy_ranker.seeds import derive_seed
from tfrecords import preprocessing, schema
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError

# Ready-made embeddings; in this order they follow the featurized vector.
EMBEDDINGS = ("user_embedding", "user_eng_embedding", "author_embedding")
DISCRETE = "discrete"
# A table over one of these ids stands for the ready-made embeddings of the same user or author.
_READY_MADE_OF = {
  "meta__user_id": ("user_embedding", "user_eng_embedding"),
  "meta__author_id": ("author_embedding",),
}
_TABLES = "model.large_embeddings.tables"
_POSITION = "position_debias"
_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class FeatureParts:
  """The parts of the network's input, [batch, width] each.

  Attributes:
    dense: the featurized dense features.
    embeddings: ready-made, large and small ones, by name, in the order in which they follow.
    position: the embedding of the position, which comes last, or None.
  """

  dense: tf.Tensor
  embeddings: Mapping[str, tf.Tensor]
  position: Optional[tf.Tensor] = None

  @cached_property
  def joined(self) -> tf.Tensor:
    """All parts side by side."""
    position = [] if self.position is None else [self.position]
    parts = [self.dense, *self.embeddings.values(), *position]
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="features")(parts)

  @cached_property
  def apart(self) -> list[tf.Tensor]:
    """What a DLRM takes: everything dense, the position's embedding included, then embeddings."""
    if self.position is None:
      return [self.dense, *self.embeddings.values()]
    dense = keras.layers.Concatenate(name="dense_and_position")([self.dense, self.position])
    return [dense, *self.embeddings.values()]


def schema_widths(config: HeavyRankerConfig, partition: str = "") -> dict[str, int]:
  """Returns the widths of all dense features after preprocessing, by name inside the model.

  Args:
    config: the whole configuration.
    partition: a partition of `validation_data`; empty means `train_data`.

  Raises:
    ConfigError: an id that the model looks up in a table is no integer of a fixed length, or
      `downcast` rounds it.
  """
  section = config.validation_data[partition] if partition else config.train_data
  where = f"validation_data.{partition}" if partition else "train_data"
  features = schema.features_of(section, where)
  widths = preprocessing.dense_widths(section, features, where)
  preprocessor = preprocessing.Preprocessor(section.preprocess, f"{where}.preprocess")
  outputs = preprocessor.outputs(features, section.tasks)
  downcast = section.preprocess.downcast if section.preprocess is not None else None
  rounded = downcast.features if downcast is not None else {}
  for name, key in _ids(config):
    feature = outputs.get(name)
    if feature is None:
      continue  # `input_names` says so.
    if feature.dtype != "int64_list" or feature.length == schema.VARIABLE_LENGTH:
      found = "any number of values" if feature.length == schema.VARIABLE_LENGTH else feature.dtype
      raise ConfigError(
        f"{key}: {name!r} has {found} in the schema, allowed: int64_list of a fixed length, since "
        "a table looks integers up and an export has inputs of a fixed width"
      )
    if rounded.get(name, "int64") != "int64":
      raise ConfigError(
        f"{where}.preprocess.downcast.features.{name}: found a feature that is looked up "
        f"({key}), allowed: others, or int64, since a rounded id is another id"
      )
  return {name: width for name, width in widths.items() if name not in section.tasks}


def input_names(config: HeavyRankerConfig, widths: Mapping[str, int]) -> tuple[str, ...]:
  """Returns the model's inputs in order: continuous, what joins it, embeddings, ids, discrete.

  Raises:
    ConfigError: a needed input is not among `widths`, a column that is looked up does not exist,
      or a table and a ready-made embedding stand for the same user or author.
  """
  needed = ("continuous", *config.model.featurization_config.feature_names_to_concat)
  for name in needed:
    _require_input(name, widths, "model.featurization_config")
    _require_argument(name, "model.featurization_config.feature_names_to_concat")
  for name, key in _ids(config):
    _require_input(name, widths, key)
    _require_argument(name, key)
    for ready_made in _READY_MADE_OF.get(name, ()) if key.startswith(_TABLES) else ():
      if ready_made in widths:
        raise ConfigError(
          f"{key}: found a table over {name!r} beside the input {ready_made!r}, an embedding of "
          "the same entity, allowed: one of them. Remove the table, or the embedding from "
          "train_data.seg_dense_schema.renamed_features"
        )
  for key, index in _columns(config):
    if index >= widths[DISCRETE]:
      raise ConfigError(
        f"{key}: found {index}, allowed: 0 to {widths[DISCRETE] - 1}, since {DISCRETE!r} has "
        f"{widths[DISCRETE]} column(s)"
      )
  ready_made = [name for name in EMBEDDINGS if name in widths]
  return tuple(dict.fromkeys((*needed, *ready_made, *(name for name, _ in _ids(config)))))


def make_inputs(config: HeavyRankerConfig, widths: Mapping[str, int]) -> dict[str, tf.Tensor]:
  """Returns the model's symbolic inputs by name: int64 for ids, float32 for the rest."""
  ids = dict(_ids(config))
  return {
    name: _input(name, widths[name], tf.int64 if name in ids else tf.float32)
    for name in input_names(config, widths)
  }


def embedding_widths(config: HeavyRankerConfig, widths: Mapping[str, int]) -> dict[str, int]:
  """Returns the widths of `FeatureParts.embeddings`, by the same names."""
  section = config.model
  large = {large_embedding_name(of.name): of.embedding_dim for of in _large_tables(section)}
  small = {_small_embedding_name(of.name): of.embedding_dim for of in _small_tables(section)}
  return {**{name: widths[name] for name in EMBEDDINGS if name in widths}, **large, **small}


def unread_in_serving(config: HeavyRankerConfig) -> tuple[str, ...]:
  """Returns the inputs that make no difference outside training.

  That is `discrete` when nothing but the position is taken from it.
  """
  section = config.model
  others = section.featurization_config.feature_names_to_concat
  tables = [name for name, key in _ids(config) if key.startswith(_TABLES)]
  has_wide_tables = section.wide_config is not None and section.wide_config.tables
  is_read = _small_tables(section) or has_wide_tables or DISCRETE in (*others, *tables)
  return () if section.position_debias_config is None or is_read else (DISCRETE,)


def make_parts(
  config: HeavyRankerConfig,
  inputs: Mapping[str, tf.Tensor],
  featurization: keras.layers.Layer,
) -> FeatureParts:
  """Returns the parts of the network's input.

  Args:
    config: the whole configuration.
    inputs: from `make_inputs`.
    featurization: what the dense features go through, as a list.
  """
  section, seed = config.model, config.training.seed
  concatenated = ("continuous", *section.featurization_config.feature_names_to_concat)
  dense = [_as_float(inputs[name]) for name in concatenated]
  embeddings = {
    name: EmbeddingNorm(name=f"{name}_norm")(inputs[name]) for name in EMBEDDINGS if name in inputs
  }
  for table in _large_tables(section):
    name = large_embedding_name(table.name)
    embeddings[name] = LargeEmbedding(table, derive_seed(seed, name), name)(inputs[table.name])
  for table in _small_tables(section):
    name = _small_embedding_name(table.name)
    layer = SmallEmbedding(
      table.num_embeddings,
      table.embedding_dim,
      table.index,
      derive_seed(seed, name),
      name,
      table.l2,
    )
    embeddings[name] = layer(inputs[DISCRETE])
  position = None
  if section.position_debias_config is not None:
    layer = PositionDebias(section.position_debias_config, derive_seed(seed, _POSITION), _POSITION)
    position = layer(inputs[DISCRETE])
  return FeatureParts(featurization(dense), embeddings, position)


def _large_tables(section: ModelConfig) -> list[LargeEmbeddingTable]:
  return section.large_embeddings.tables if section.large_embeddings is not None else []


def _small_tables(section: ModelConfig) -> list[SmallEmbeddingTable]:
  return section.small_embeddings.tables if section.small_embeddings is not None else []


def _ids(config: HeavyRankerConfig) -> Iterator[tuple[str, str]]:
  """Yields each input that is looked up in a table, and the key that asks for it."""
  section = config.model
  for index, table in enumerate(_large_tables(section)):
    yield table.name, f"{_TABLES}.{index}.name"
  for key, _ in _columns(config):
    yield DISCRETE, key


def _columns(config: HeavyRankerConfig) -> Iterator[tuple[str, int]]:
  """Yields the keys that name a column of `discrete`, and the column."""
  section = config.model
  for index, table in enumerate(_small_tables(section)):
    yield f"model.small_embeddings.tables.{index}.index", table.index
  for position, table in enumerate(section.wide_config.tables if section.wide_config else ()):
    yield f"model.wide_config.tables.{position}.index", table.index
  if section.position_debias_config is not None:
    index = section.position_debias_config.position_feature_index
    yield "model.position_debias_config.position_feature_index", index


def _require_input(name: str, widths: Mapping[str, int], key: str) -> None:
  if name not in widths:
    raise ConfigError(
      f"{key}: the input {name!r} is needed and missing{did_you_mean(name, widths)}; found: "
      f"{', '.join(widths)}. Name it under train_data.seg_dense_schema.renamed_features"
    )


def _require_argument(name: str, key: str) -> None:
  if not _INPUT_NAME.fullmatch(name) or name == "self" or keyword.iskeyword(name):
    raise ConfigError(
      f"{key}: found {name!r}, allowed: letters, digits and _, a letter first (not self, nor a "
      "word of Python), since it is an argument of the export. Name the feature so under "
      "train_data.seg_dense_schema.renamed_features"
    )


def _input(name: str, width: int, dtype: tf.DType) -> tf.Tensor:
  # The prefix keeps features and layers apart, whatever they are called.
  return keras.Input((width,), dtype=dtype, name=f"input.{name}")


def _small_embedding_name(table: str) -> str:
  return f"small_embedding.{table}"


def _as_float(tensor: tf.Tensor) -> tf.Tensor:
  return tensor if tensor.dtype == tf.float32 else tf.cast(tensor, tf.float32)
