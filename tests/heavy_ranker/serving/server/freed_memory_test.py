import ctypes
import gc
import types
import weakref

import pytest

from heavy_ranker.serving.server.freed_memory import give_back


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
  assert asked == [0]


def test_a_c_library_that_keeps_its_memory_is_no_error(monkeypatch):
  monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
  ring = weakref.ref(_Ring())
  give_back()
  assert ring() is None
