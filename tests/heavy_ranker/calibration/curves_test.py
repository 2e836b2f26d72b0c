"""Tests of `heavy_ranker.calibration.curves`: the file keeps every digit, or says what is wrong."""

import json

import pytest

from heavy_ranker.calibration.curves import (
  CalibrationCurve,
  FittedCalibration,
  calibration_path,
  read_calibration,
  write_calibration,
)
from tfrecords.errors import CheckpointError, StorageError

CURVES = {
  "likes": CalibrationCurve("platt", slope=0.1 + 0.2, intercept=-1 / 3),
  "area.replies": CalibrationCurve("isotonic", logits=(-1.5, 2.0), probabilities=(1e-7, 0.25)),
  "reports": CalibrationCurve("none", note="no positives among 3 examples"),
}
FITTED = FittedCalibration(CURVES, {"likes": 0.01 / 0.9, "area.replies": 1.0}, "holdout")


def test_what_is_written_is_read_again(tmp_path):
  path = calibration_path(str(tmp_path), 12)
  assert read_calibration(path) is None
  write_calibration(FITTED, path)
  assert read_calibration(path) == FITTED
  assert [file.name for file in (tmp_path / "calibration").iterdir()] == ["step-12.json"]


def _damaged(change):
  def apply(path):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))

  return apply


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (lambda path: path.write_text("{"), "no calibration can be read"),
    (lambda path: path.write_text("[]"), "no calibration can be read"),
    (lambda path: path.write_bytes(b"\xff\xfe\x00"), "no calibration can be read"),
    (_damaged(lambda content: content.update(format_version=2)), "format_version is 2, not 1"),
    (_damaged(lambda content: content.pop("tasks")), "tasks"),
    (_damaged(lambda content: content["tasks"]["likes"].update(surprise=1)), "surprise"),
    (_damaged(lambda content: content["tasks"]["likes"].update(slope=float("nan"))), "likes: fo"),
    (
      _damaged(lambda content: content["tasks"]["area.replies"].update(logits=[2.0, 2.0])),
      "area.replies: the knots' logits do not ascend",
    ),
    (
      _damaged(lambda content: content["tasks"]["area.replies"].update(probabilities=[0.5, 0.1])),
      "area.replies: the knots' probabilities fall",
    ),
    (
      _damaged(lambda content: content["tasks"]["area.replies"].update(probabilities=[0.5, 1.1])),
      "outside 0 to 1",
    ),
    (
      _damaged(lambda content: content["tasks"]["area.replies"].update(logits=[0.0])),
      "found 1 logits and 2 probabilities",
    ),
  ],
)
def test_a_file_that_is_no_calibration_says_so(damage, message, tmp_path):
  path = tmp_path / "calibration" / "step-1.json"
  write_calibration(FITTED, str(path))
  damage(path)
  with pytest.raises(CheckpointError, match=message):
    read_calibration(str(path))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "calibration").write_text("a file")
  with pytest.raises(StorageError, match="cannot be written"):
    write_calibration(FITTED, calibration_path(str(tmp_path), 1))
