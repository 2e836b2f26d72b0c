"""Tests of `heavy_ranker.features`: which inputs there are, and in which order parts follow."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from heavy_ranker import build_model
from heavy_ranker.features import input_names, schema_widths, unread_in_serving
from tests.heavy_ranker import example_config, id_run, numpy_twins
from tfrecords.errors import ConfigError

BAZEL_SIZE = "medium"
WIDTHS = {"continuous": 7, "binary": 3, "user_embedding": 4, "tags": 2, "discrete": 3, "more": 1}
TABLES = ("model", "large_embeddings", "tables")


def changes(names=("tags",), index=1, position=2):
  """Changes that ask for large tables, a small one and the position."""
  tables = [{"name": name, "num_embeddings": 5, "embedding_dim": 4} for name in names]
  small = {"name": "tags", "num_embeddings": 3, "embedding_dim": 4, "index": index}
  return [
    ("model", "large_embeddings", {"tables": tables, "optimizer": {"learning_rate": 1}}),
    ("model", "small_embeddings", {"tables": [small]}),
    ("model", "position_debias_config", {"num_dims": 2, "position_feature_index": position}),
  ]


def make_config(*more, **options):
  return example_config.build_config([*changes(**options), *more])


def make_inputs():
  random = np.random.default_rng(0)
  inputs = {name: random.normal(size=(6, width)).astype("f") for name, width in WIDTHS.items()}
  inputs["tags"] = random.integers(-2, 9, (6, 2))
  inputs["discrete"] = random.integers(-1, 5, (6, 3))
  del inputs["more"]
  return inputs


def test_inputs_in_order():
  config = make_config(names=("more", "tags"))
  names = ("continuous", "binary", "user_embedding", "more", "tags", "discrete")
  assert input_names(config, WIDTHS) == names
  dtypes = {name: x.dtype for name, x in build_model(config, WIDTHS).input.items()}
  assert {name for name, dtype in dtypes.items() if dtype == tf.int64} == set(names[3:])


def test_parts_follow_in_order_and_equal_numpy():
  model, inputs = build_model(make_config(), WIDTHS), make_inputs()
  features = keras.Model(model.input, model.get_layer("features").output)(inputs).numpy()
  large = model.get_layer("large_embedding.tags")
  rows = large.rows_of(tf.constant(inputs["tags"])).numpy()
  small = model.get_layer("small_embedding.tags").embeddings.numpy()
  expected = [
    numpy_twins.large_embedding(large.embeddings.numpy(), rows),
    numpy_twins.small_embedding(small, inputs["discrete"][:, 1]),
    np.zeros((6, 2)),
  ]
  assert features.shape == (6, 7 + 3 + 4 + 4 + 4 + 2)
  np.testing.assert_allclose(features[:, 14:], np.concatenate(expected, axis=1), rtol=1e-6)


def test_a_dlrm_interacts_every_embedding_and_takes_the_position_as_dense():
  dlrm = {"dlrm_config": {"bottom_mlp": {"layer_sizes": [4]}, "top_mlp": {"layer_sizes": [3]}}}
  model = build_model(make_config(("model", "backbone", dlrm)), WIDTHS)
  backbone = model.get_layer("backbone")
  assert backbone.bottom_mlp.dense_layers[0].kernel.shape[0] == 7 + 3 + 2
  # Ready-made, large, small and what the bottom MLP puts out: 6 pairs.
  assert backbone.top_mlp.dense_layers[0].kernel.shape[0] == 4 + 6
  assert model(make_inputs())["score"].shape == (6,)


def test_a_dlrm_names_embeddings_of_other_widths():
  dlrm = {"dlrm_config": {"bottom_mlp": {"layer_sizes": [4]}, "top_mlp": {"layer_sizes": [3]}}}
  config = make_config(("model", "backbone", dlrm))
  expected = r"4 \(large_embedding.tags\), 4 \(small_embedding.tags\), allowed: one width"
  with pytest.raises(ConfigError, match=expected):
    build_model(config, {**WIDTHS, "user_embedding": 5})


def test_discrete_and_ids_can_be_dense_features_too():
  concat = ("model", "featurization_config", "feature_names_to_concat")
  config = make_config((*concat, ["binary", "discrete", "tags"]))
  model, inputs = build_model(config, WIDTHS), make_inputs()
  assert model.input["discrete"].dtype == tf.int64
  assert np.isfinite(model(inputs)["score"]).all()
  assert unread_in_serving(config) == ()


@pytest.mark.parametrize(
  ("section", "names", "unread"),
  [
    (None, ("tags",), ("discrete",)),
    ({"tables": []}, ("tags",), ("discrete",)),
    (None, ("discrete",), ()),
  ],
)
def test_discrete_is_not_read_in_serving_for_the_position_alone(section, names, unread):
  config = make_config(("model", "small_embeddings", section), names=names)
  assert unread_in_serving(config) == unread


def test_without_position_everything_is_read():
  assert unread_in_serving(make_config(("model", "position_debias_config", None))) == ()


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"index": 3}, r"small_embeddings.tables.0.index: found 3, allowed: 0 to 2, since 'discrete'"),
    ({"position": 51}, "position_debias_config.position_feature_index: found 51, allowed: 0 to 2"),
    ({"names": ("tag",)}, "tables.0.name: the input 'tag' is needed and .*did you mean 'tags'"),
  ],
)
def test_what_is_not_there_is_named(options, message):
  with pytest.raises(ConfigError, match=message):
    build_model(make_config(**options), WIDTHS)


def test_discrete_that_is_missing_is_named_with_the_table_that_needs_it():
  widths = {name: width for name, width in WIDTHS.items() if name != "discrete"}
  with pytest.raises(ConfigError, match="small_embeddings.tables.0.index: the input 'discrete' is"):
    build_model(make_config(), widths)


@pytest.mark.parametrize(
  ("name", "ready_made"),
  [
    ("meta__user_id", "user_embedding"),
    ("meta__user_id", "user_eng_embedding"),
    ("meta__author_id", "author_embedding"),
  ],
)
def test_a_table_and_a_ready_made_embedding_of_one_entity_exclude_each_other(name, ready_made):
  config = make_config(names=(name,))
  widths = {"continuous": 7, "binary": 3, "discrete": 3, name: 1}
  assert input_names(config, widths)
  with pytest.raises(ConfigError, match=f"'{name}' beside the input '{ready_made}'"):
    input_names(config, {**widths, ready_made: 4})


@pytest.mark.parametrize(
  ("name", "dtype", "length", "message"),
  [
    ("tags", "int64_list", -1, "tables.1.name: 'tags' has any number of values in the schema"),
    ("tags", "float_list", 2, "tables.1.name: 'tags' has float_list in the schema"),
    ("tags", "bytes_list", 2, "tables.1.name: 'tags' has bytes_list in the schema"),
    ("discrete", "float_list", 3, "tables.0.index: 'discrete' has float_list in the schema"),
  ],
)
def test_what_is_looked_up_has_to_be_integers_of_a_fixed_length(
  name, dtype, length, message, tmp_path
):
  config = id_run.id_config(tmp_path)
  path = tmp_path / "schema.json"
  schema = json.loads(path.read_text())
  for entry in schema["schema"]:
    if entry["feature_name"] == f"record.{name}":
      entry.update(dtype=dtype, length=length)
  path.write_text(json.dumps(schema))
  with pytest.raises(ConfigError, match=message):
    schema_widths(config)


@pytest.mark.parametrize("name", ["discrete", "tags"])
def test_what_is_looked_up_must_not_be_rounded(name, tmp_path):
  key = ("train_data", "preprocess", "downcast")
  assert schema_widths(id_run.id_config(tmp_path, (*key, {"features": {name: "int64"}})))
  with pytest.raises(ConfigError, match=f"downcast.features.{name}: found a feature that is look"):
    schema_widths(id_run.id_config(tmp_path, (*key, {"features": {name: "bfloat16"}})))


def test_an_extracted_feature_can_be_looked_up(tmp_path):
  row = {"name": "language_id", "source_tensor": "discrete", "index": 1}
  config = id_run.id_config(
    tmp_path,
    ("train_data", "preprocess", "extract_features", {"extract_feature_table": [row]}),
    (*TABLES, 1, "name", "language_id"),
    ("model", "large_embeddings", "tables_to_log", ["language_id"]),
  )
  assert "language_id" in input_names(config, schema_widths(config))
