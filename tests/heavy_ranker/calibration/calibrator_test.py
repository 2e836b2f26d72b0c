"""Tests of `heavy_ranker.calibration.calibrator`, and of what evaluation and export make of it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, calibrate, evaluate, export, make_dataset, train
from heavy_ranker.calibration.table import format_calibration
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from tests.heavy_ranker.small_run import TASKS, WIDTHS, assert_outputs_close, small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import CheckpointError, ConfigError

METHODS = f"calibration.methods={json.dumps(dict(zip(TASKS, ['isotonic', 'platt', 'none'])))}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("calibration")
  train(small_config(path, "training.num_train_steps=30"))
  return path


@pytest.fixture(autouse=True)
def _uncalibrated(folder):
  yield
  for file in folder.glob("run/calibration/*"):
    file.unlink()


def test_the_export_serves_what_was_fitted(folder, monkeypatch):
  leave_report_out(monkeypatch)
  config = small_config(folder, METHODS, "train_data.sampling_correction=calibration")
  before = evaluate(config)["validation"]
  result = calibrate(config)
  assert [result.calibration.curves[task].method for task in TASKS] == ["isotonic", "platt", "none"]
  after = evaluate(config)["validation"]
  for task in TASKS[:2]:
    actual, predicted = (
      after[task][name] for name in ("click_through_rate", "predicted_click_through_rate")
    )
    assert predicted == pytest.approx(actual, rel=0.02), "fitted on the same examples"
    assert after[task]["log_loss"] < before[task]["log_loss"]
  assert after[TASKS[1]]["auroc"] == pytest.approx(before[TASKS[1]]["auroc"])
  assert after[TASKS[2]] == pytest.approx(before[TASKS[2]], nan_ok=True)

  ranker = build_model(config, calibration=result.calibration)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  features, _, _ = next(iter(make_dataset(config.validation_data["validation"], "evaluate")))
  exported = export(config, export_dir=str(folder / "saved"))
  serve = tf.saved_model.load(exported).signatures["serving_default"]
  served = serve(**{name: features[name] for name in WIDTHS})
  outputs = ranker(features)
  probabilities = outputs["calibrated_probabilities"]
  wanted = {
    "score": outputs["score"],
    "probabilities": probabilities,
    TASKS[0]: probabilities[:, 0],
  }
  # Isotonic curves are steep between some knots: a rounding before them is more behind them.
  assert_outputs_close(served, wanted, tolerance=1e-3)
  assert np.abs(outputs["probabilities"] - probabilities).max() > 1e-3
  description = json.loads((folder / "saved/1/assets.extra/score.json").read_text())
  assert description["calibration"] == dict(zip(TASKS, ["isotonic", "platt", "none"]))

  off = small_config(folder, "calibration.apply=false")
  np.testing.assert_allclose(
    [list(values.values()) for values in evaluate(off)["validation"].values()],
    [list(values.values()) for values in before.values()],
  )


def test_the_table_has_a_row_a_task(folder):
  config = small_config(folder, METHODS)
  table = format_calibration(calibrate(config))
  assert "switched off" in table
  assert " knots" in table
  assert " logit " in table


def test_a_calibration_of_another_setup_is_refused(folder):
  calibrate(small_config(folder))
  rates = f'train_data.tasks."{TASKS[0]}".neg_downsampling_rate=0.5'
  other = small_config(folder, rates, "train_data.sampling_correction=calibration")
  for run in (evaluate, export):
    with pytest.raises(CheckpointError, match="fitted to other sampling ratios"):
      run(other)


def test_calibration_does_not_reach_another_checkpoint(folder):
  config = small_config(folder)
  checkpoint = str(folder / "run" / "checkpoints" / "step-4")
  assert calibrate(config, checkpoint).path.endswith("step-4.json")
  assert export(config, export_dir=str(folder / "other")).endswith("1")
  description = json.loads((folder / "other/1/assets.extra/score.json").read_text())
  assert description["calibration"] is None


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    (["validation_data={}"], "validation_data: found no partition"),
    (["calibration.partition=validatio"], "found 'validatio', did you mean 'validation'"),
    (["calibration.method=spline"], "calibration.method: found 'spline'"),
    (['calibration.methods={"some.task": "platt"}'], "task 'some.task' is missing from model"),
  ],
)
def test_a_section_that_cannot_work_says_why(folder, overrides, message):
  with pytest.raises(ConfigError, match=message):
    calibrate(small_config(folder, *overrides))


def test_several_partitions_need_a_choice(folder):
  data = json.dumps(small_config(folder).model_dump(mode="json")["validation_data"]["validation"])
  config = small_config(folder, f"validation_data.second={data}")
  with pytest.raises(ConfigError, match="calibration.partition: found none"):
    calibrate(config)
