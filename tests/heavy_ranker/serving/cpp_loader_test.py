"""An export in C++, by the loader that tensorflow_model_server uses: the scores are Python's."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import named_tensor_pb2

from heavy_ranker.serving.rank_inputs import K
from heavy_ranker.serving.warmup import BATCH_SIZES, warmup_requests
from tests.heavy_ranker import id_run
from tests.heavy_ranker.serving.saved_module import save_module

BAZEL_DATA = ["load_export.cc"]

_SOURCE = pathlib.Path(__file__).with_name("load_export.cc")
_COMPILER = shutil.which("g++")

pytestmark = pytest.mark.skipif(_COMPILER is None, reason="there is no g++ to compile with")


@pytest.fixture(name="program", scope="module")
def program_fixture(tmp_path_factory):
  """The compiled program."""
  program = tmp_path_factory.mktemp("cpp") / "load_export"
  libraries = tf.sysconfig.get_lib()
  command = [
    _COMPILER, *tf.sysconfig.get_compile_flags(), "-std=c++17", str(_SOURCE), "-o", str(program),
    f"-L{libraries}", f"-Wl,-rpath,{libraries}",
    "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2",
  ]  # fmt: skip
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-5000:]
  return program


@pytest.fixture(name="saved", scope="module")
def saved_fixture(tmp_path_factory):
  """An export with ids and tables, and a request of each signature: inputs by name."""
  folder = tmp_path_factory.mktemp("saved")
  config = id_run.id_config(folder)
  module = save_module(config, folder / "1")
  requests = {
    request.model_spec.signature_name: request.inputs
    for request in list(warmup_requests(config, module))[3:6]
  }
  return folder / "1", requests


def _run(program, folder, signature, inputs, tmp_path):
  with tf.io.TFRecordWriter(str(tmp_path / "inputs")) as writer:
    for name, tensor in inputs.items():
      named = named_tensor_pb2.NamedTensorProto(name=name, tensor=tensor)
      writer.write(named.SerializeToString())
  command = [program, folder, signature, tmp_path / "inputs", tmp_path / "outputs"]
  done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]
  records = tf.data.TFRecordDataset(str(tmp_path / "outputs")).as_numpy_iterator()
  named = [named_tensor_pb2.NamedTensorProto.FromString(record) for record in records]
  return {each.name: tf.make_ndarray(each.tensor) for each in named}


@pytest.mark.parametrize("signature", ["serving_default", "score_examples", "rank"])
def test_every_signature_gives_what_python_gets(program, saved, signature, tmp_path):
  folder, requests = saved
  inputs = dict(requests[signature])
  serve = tf.saved_model.load(str(folder)).signatures[signature]
  arrays = {name: tf.constant(tf.make_ndarray(value)) for name, value in inputs.items()}
  expected = {name: value.numpy() for name, value in serve(**arrays).items()}
  if signature == "rank":
    del inputs[K]  # Its default is in the signature.
  found = _run(program, folder, signature, inputs, tmp_path)
  assert found.keys() == expected.keys()
  assert found["score"].shape == (BATCH_SIZES[1],)
  for name, value in expected.items():
    assert found[name].dtype == value.dtype
    np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
