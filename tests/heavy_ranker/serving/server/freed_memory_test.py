import ctypes
import gc
import os
import subprocess
import sys
import types
import weakref

import pytest

from heavy_ranker.serving.server import freed_memory
from heavy_ranker.serving.server.freed_memory import give_back, use_returning_allocators
from tfrecords import paths

BAZEL_SIZE = "medium"


class _Ring:
  def __init__(self):
    self.itself = self


@pytest.fixture(autouse=True)
def no_automatic_collection():
  gc.disable()
  yield
  gc.enable()


def test_frees_what_refers_to_itself():
  ring = weakref.ref(_Ring())
  assert ring() is not None
  give_back()
  assert ring() is None


def test_asks_the_c_library_to_return_memory(monkeypatch):
  asked = []
  library = types.SimpleNamespace(malloc_trim=asked.append)
  monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
  give_back()
  assert asked == [0, 0]


def test_a_c_library_that_keeps_its_memory_is_no_error(monkeypatch):
  monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
  ring = weakref.ref(_Ring())
  give_back()
  assert ring() is None


@pytest.mark.parametrize(
  "environment, expected", [({}, [(-8, 2)]), ({"MALLOC_ARENA_MAX": "4"}, [])]
)
def test_the_environment_decides_how_many_arenas_there_are(monkeypatch, environment, expected):
  asked = []
  library = types.SimpleNamespace(mallopt=lambda *options: asked.append(options))
  monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
  monkeypatch.setattr(os, "environ", environment)
  use_returning_allocators()
  assert asked == expected
  assert environment["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] == "1"
  environment["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "0"
  use_returning_allocators()
  assert environment["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] == "0"


def test_a_c_library_without_options_is_no_error(monkeypatch):
  monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
  monkeypatch.setattr(os, "environ", {})
  use_returning_allocators()


_FREES_TENSORS = f"""
from {freed_memory.__name__} import give_back, use_returning_allocators
use_returning_allocators()
import tensorflow as tf
def resident():
  with open("/proc/self/statm") as file:
    return int(file.read().split()[1]) * 4096
tf.ones([1]).numpy()
give_back()
before = resident()
tensors = [tf.random.uniform([1000, 1000]) for _ in range(50)]
held = resident()
del tensors
give_back()
print(held - before, resident() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux tells")
def test_what_tensors_have_used_goes_back_to_the_machine():
  variables = ("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "MALLOC_ARENA_MAX")
  environment = {name: value for name, value in os.environ.items() if name not in variables}
  output = subprocess.check_output(
    [sys.executable, "-c", _FREES_TENSORS],
    env={**environment, "PYTHONPATH": paths.package_root()},
    text=True,
  )
  held, kept = map(int, output.split())
  assert held > 150e6 and kept < 50e6
