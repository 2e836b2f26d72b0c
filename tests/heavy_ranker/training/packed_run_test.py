"""A run on packed records: interrupted, resumed, evaluated, calibrated; all to the last bit."""

import os

import numpy as np
import pytest

from heavy_ranker import calibrate, evaluate, export, load_config, train
from tests.heavy_ranker.small_run import PLAIN, write_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.packed.packer import Options, pack


@pytest.fixture(name="configs")
def configs_fixture(tmp_path):
  """How to make a configuration of either kind of records; each has a run of its own."""
  path = write_config(tmp_path)
  config = load_config(path)
  options = Options(examples_per_record=16)
  pack(config.train_data, str(tmp_path / "packed"), options)
  pack(config.validation_data["validation"], str(tmp_path / "packed_validation"), options)

  def make(kind, **overrides):
    values = {"training.save_dir": tmp_path / kind, **overrides}
    if kind == "packed":
      for key, folder in (
        ("train_data", "packed"),
        ("validation_data.validation", "packed_validation"),
      ):
        values[f"{key}.inputs"] = tmp_path / folder / "*.tfrecord"
        values[f"{key}.packed"] = "true"
    return load_config(path, (PLAIN, *(f"{key}={value}" for key, value in values.items())))

  return make


def _losses(history):
  return [{key: value for key, value in entry.items() if "second" not in key} for entry in history]


def test_the_same_losses_metrics_and_curves(configs, capsys, monkeypatch):
  leave_report_out(monkeypatch)
  expected = train(configs("records"))
  found = train(configs("packed", **{"training.num_train_steps": 4}))
  found += train(configs("packed"))
  assert "resuming from" in capsys.readouterr().out
  assert _losses(found) == _losses(expected)
  # NaN, which a metric is without positives, equals NaN here.
  np.testing.assert_equal(evaluate(configs("packed")), evaluate(configs("records")))
  curves = [calibrate(configs(kind)) for kind in ("packed", "records")]
  assert str(curves[0]).replace("packed", "records") == str(curves[1])
  assert os.path.isdir(export(configs("packed")))
