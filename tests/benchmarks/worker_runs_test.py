"""What is compared with what; the trainings themselves are left out."""

import contextlib

from benchmarks.worker_runs import Runs


class Faked(Runs):
  """Runs whose speed is decided by their overrides."""

  def _train(self, count, overrides):
    text = " ".join(overrides)
    assert count == 1 and "train_data.global_batch_size=32" in overrides
    speed = 100.0 if "service" not in text else 80.0
    return speed + (15.0 if "compression=NONE" in text else 0.0) - (20.0 if "core-0" in text else 0)

  @contextlib.contextmanager
  def _service(self, core):
    yield f"grpc://core-{core}:1"


def test_a_service_is_compared_with_files_at_the_same_batch_size(tmp_path, monkeypatch):
  monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3})
  found = Faked(str(tmp_path), (), steps=1, rounds=2).service(32)
  assert found["batch_size"] == 32
  assert found["examples_per_second"]["files"] == [100.0, 100.0]
  assert found["overhead"] == {
    "service": 0.2,
    "service_uncompressed": 0.05,
    "service_on_one_core": 0.4,
    "service_uncompressed_on_one_core": 0.25,
  }
