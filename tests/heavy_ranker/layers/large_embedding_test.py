"""Tests of `heavy_ranker.layers.large_embedding`."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config.model import LargeEmbeddingTable
from heavy_ranker.layers.large_embedding import LargeEmbedding, hashed_rows
from tests.heavy_ranker import layer_helpers, numpy_twins

_INT64 = np.iinfo(np.int64)
IDS = np.array([[1, 12], [0, 0], [-7, 3], [_INT64.max, _INT64.min], [12, 12]])


def make(vocab=None, size=5, seed=0):
  section = {"name": "author", "num_embeddings": size, "embedding_dim": 3, "vocab": vocab}
  layer = LargeEmbedding(LargeEmbeddingTable.model_validate(section), seed, name="author")
  layer(IDS)
  return layer


def test_hashed_equals_numpy():
  layer = make()
  rows = hashed_rows(tf.constant(IDS), 5).numpy()
  outputs = layer_helpers.run(layer, IDS)
  table = layer.embeddings.numpy()
  assert table.shape == (6, 3)
  np.testing.assert_allclose(outputs, numpy_twins.large_embedding(table, rows), rtol=1e-6)


def test_listed_equals_numpy():
  layer = make(vocab="file")
  vocabulary = [12, -7, 3]
  layer.vocabulary.assign(np.array(vocabulary))
  rows = numpy_twins.listed_rows(IDS, vocabulary, 5)
  outputs = layer_helpers.run(layer, IDS)
  expected = numpy_twins.large_embedding(layer.embeddings.numpy(), rows)
  np.testing.assert_allclose(outputs, expected, rtol=1e-6)


def test_the_hash_never_changes():
  """An export of today has to find the rows of a checkpoint of yesterday."""
  ids = tf.constant([1, 2, 3, -1, 42, 1_234_567_890_123, _INT64.max, _INT64.min])
  assert hashed_rows(ids, 1000).numpy().tolist() == [849, 759, 921, 430, 736, 114, 319, 112]
  np.testing.assert_array_equal(hashed_rows(ids, 1000), keras.layers.Hashing(1000)(ids))


def test_an_absent_id_has_a_row_of_its_own():
  ids = tf.concat([[0], tf.range(1, 2000, dtype=tf.int64)], axis=0)
  rows = hashed_rows(ids, 7).numpy()
  assert rows[0] == 7
  assert set(rows[1:]) == set(range(7))
  assert (np.bincount(rows[1:]) > 200).all()


def test_a_hash_of_one_row():
  assert hashed_rows(tf.constant([0, 5]), 1).numpy().tolist() == [1, 0]


def test_gradients_are_sparse_and_shared_by_the_ids_of_an_example():
  layer = make(vocab="file")
  layer.vocabulary.assign(np.array([12]))
  with tf.GradientTape() as tape:
    total = tf.reduce_sum(layer(tf.constant([[12, 5], [12, 12]], tf.int64)))
  (gradient,) = tape.gradient(total, layer.trainable_variables)
  assert isinstance(gradient, tf.IndexedSlices)
  dense = tf.convert_to_tensor(gradient).numpy()
  np.testing.assert_allclose(dense[:, 0], [1.5, 0, 0, 0, 0, 0.5])


@pytest.mark.parametrize("vocab", [None, "file"])
def test_the_tables_name_tells_how_ids_find_their_rows(vocab):
  (table,) = make(vocab).trainable_variables
  assert table.name == f"author/{'hashed' if vocab is None else 'listed'}_embeddings:0"


def test_initial_values_depend_on_the_seed_only():
  first, second, other = (make(seed=seed).embeddings.numpy() for seed in (1, 1, 2))
  np.testing.assert_array_equal(first, second)
  assert (first != other).all()
