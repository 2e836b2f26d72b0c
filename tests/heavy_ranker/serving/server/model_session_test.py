"""A SavedModel in a session: the same numbers, many threads, and nothing left of it."""

import gc
import logging
import weakref
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.serving.server.model_session import ModelSession
from heavy_ranker.serving.server.signature_info import can_be_called
from tests.heavy_ranker.serving.server.running_server import tiny_inputs
from tests.heavy_ranker.serving.server.tiny_model import write_version

BAZEL_SIZE = "large"


class _Looks(tf.Module):
  """Has what a session has to initialize: a table, filled from an asset."""

  def __init__(self, vocabulary):
    super().__init__()
    initializer = tf.lookup.TextFileInitializer(
      tf.saved_model.Asset(vocabulary),
      tf.string,
      tf.lookup.TextFileIndex.WHOLE_LINE,
      tf.int64,
      tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    self.table = tf.lookup.StaticHashTable(initializer, -1)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
  def look(self, words):
    joined = tf.strings.reduce_join(words)
    return {"ids": self.table.lookup(words), "words": words, "joined": joined}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return str(write_version(tmp_path_factory.mktemp("tiny"), 1, factor=3))


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
  base = tmp_path_factory.mktemp("looking")
  vocabulary = base / "words.txt"
  vocabulary.write_text("a\nb\n")
  model = _Looks(str(vocabulary))
  tf.saved_model.save(model, str(base / "1"), signatures={"look": model.look})
  vocabulary.unlink()
  return ModelSession(str(base / "1"))


def test_equals_the_loaded_functions_to_the_last_bit(folder):
  session, loaded = ModelSession(folder), tf.saved_model.load(folder)
  rank = {"user": np.ones((1, 3), np.float32), "bonus": np.float32(0.25)}
  rank["x"] = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
  parse = {"examples": np.array([b"", b""], object)}
  for name, inputs in (("serving_default", tiny_inputs(5)), ("rank", rank), ("parse", parse)):
    expected = loaded.signatures[name](**{key: tf.constant(each) for key, each in inputs.items()})
    found = session.run(name, inputs)
    assert set(found) == set(expected)
    for key, values in found.items():
      np.testing.assert_array_equal(values, expected[key].numpy())


def test_tables_are_filled_and_strings_keep_every_byte(looking):
  words = [b"b", b"\xff\x00", b"a"]
  outputs = looking.run("look", {"words": np.array(words, object)})
  np.testing.assert_array_equal(outputs["ids"], [1, -1, 0])
  assert outputs["words"].tolist() == words
  assert outputs["joined"].shape == () and outputs["joined"].item() == b"".join(words)


def test_initializers_are_no_signatures_for_requests(looking):
  callable_ones = [name for name, proto in looking.signature_defs.items() if can_be_called(proto)]
  assert callable_ones == ["look"]
  assert len(looking.signature_defs) > 1


def test_runs_on_many_threads_do_not_mix(folder):
  session = ModelSession(folder)

  def run(index):
    inputs = {"x": np.full((index % 7 + 1, 3), index, np.float32)}
    inputs["ids"] = np.full(len(inputs["x"]), index)
    outputs = session.run("serving_default", inputs)
    return (outputs["y"] == 3 * index).all() and (outputs["ids"] == index).all()

  with futures.ThreadPoolExecutor(8) as pool:
    assert all(pool.map(run, range(200)))


def test_nothing_is_left_of_it(folder):
  gc.disable()
  try:
    session = ModelSession(folder)
    session.run("serving_default", tiny_inputs())
    inner, graph = weakref.ref(session._session), weakref.ref(session._session.graph)
    del session
    # With the session go its variables; no collection of garbage is needed.
    assert inner() is None
    gc.collect()
    assert graph() is None
  finally:
    gc.enable()


def test_runs_add_nothing_to_the_graph(folder):
  session = ModelSession(folder)
  before = len(session._session.graph.get_operations())
  session.run("serving_default", tiny_inputs())
  assert session._session.graph.finalized
  assert len(session._session.graph.get_operations()) == before


def test_loading_says_nothing_and_leaves_the_logger_as_it_was(folder, caplog):
  level = tf.get_logger().level
  with caplog.at_level(logging.INFO):
    ModelSession(folder)
  assert not caplog.records
  assert tf.get_logger().level == level


def test_what_is_for_other_programs_is_not_loaded(tmp_path):
  with tf.compat.v1.Session(graph=tf.Graph()) as session:
    with session.graph.as_default():
      tf.compat.v1.Variable(1.0)
      session.run(tf.compat.v1.global_variables_initializer())
      builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "1"))
      builder.add_meta_graph_and_variables(session, ["train"])
    builder.save()
  with pytest.raises(RuntimeError, match="serve"):
    ModelSession(str(tmp_path / "1"))
