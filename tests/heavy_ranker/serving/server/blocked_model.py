"""Holds the model up, so that requests wait for as long as a test wants."""

import threading

import pytest

from heavy_ranker.serving.server.served_model import LoadedVersion


class BlockedModel:
  """While blocked, no run of any model ends; `running` counts those that have begun."""

  def __init__(self, monkeypatch: pytest.MonkeyPatch):
    self.running = threading.Semaphore(0)
    self.sizes = []
    self._may_go_on = threading.Event()
    compute = LoadedVersion.compute

    def blocked(version, info, inputs):
      self.sizes.append(len(next(iter(inputs.values()))))
      self.running.release()
      assert self._may_go_on.wait(60)
      return compute(version, info, inputs)

    monkeypatch.setattr(LoadedVersion, "compute", blocked)

  def wait_for_a_run(self):
    assert self.running.acquire(timeout=60)

  def release(self):
    self._may_go_on.set()
