"""What fits a signature, and what is said when it does not."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.signature_info import SignatureInfo, TensorInfo

_FLOATS = TensorInfo(tf.float32, (None, 3))
_STRINGS = TensorInfo(tf.string, (None,))
_SCORE = {"score": TensorInfo(tf.float32, (None,))}
_SIGNATURE = SignatureInfo("default", {"x": _FLOATS, "text": _STRINGS}, _SCORE, "predict")


def _inputs(**changed):
  inputs = {"x": np.zeros((2, 3), np.float32), "text": np.array([b"a", b"b"], object), **changed}
  return {name: value for name, value in inputs.items() if value is not None}


def test_counts_the_examples():
  assert _SIGNATURE.check(_inputs(), 2) == 2


def test_nan_and_infinities_are_the_models_business():
  x = np.array([[np.nan, np.inf, -np.inf]] * 2, np.float32)
  assert _SIGNATURE.check(_inputs(x=x), 2) == 2


@pytest.mark.parametrize(
  "changed, words",
  [
    ({"x": None}, ["'x'", "missing", "float32 [n, 3]"]),
    ({"y": np.zeros(2)}, ["'y'", "unknown", "text, x"]),
    ({"x": np.zeros((2, 3))}, ["'x'", "float64 [2, 3]", "float32 [n, 3]"]),
    ({"x": np.zeros((2, 4), np.float32)}, ["'x'", "[2, 4]", "[n, 3]"]),
    ({"x": np.zeros(3, np.float32)}, ["'x'", "[3]", "[n, 3]"]),
    ({"x": np.zeros((2, 3, 1), np.float32)}, ["'x'", "[2, 3, 1]"]),
    ({"x": np.zeros((0, 3), np.float32)}, ["'x'", "[0, 3]", "1 to 2 examples"]),
    ({"x": np.zeros((3, 3), np.float32)}, ["'x'", "[3, 3]", "1 to 2 examples"]),
    ({"x": np.zeros((1, 3), np.float32)}, ["text 2", "x 1", "one number"]),
    ({"x": np.zeros((2, 3), "datetime64[s]")}, ["datetime64"]),
    ({"text": np.zeros(2, np.float32)}, ["'text'", "float32", "string [n]"]),
  ],
)
def test_what_does_not_fit_is_named(changed, words):
  with pytest.raises(RequestError) as found:
    _SIGNATURE.check(_inputs(**changed), 2)
  assert found.value.code is Code.INVALID_ARGUMENT
  assert all(word in found.value.message for word in words), found.value.message


def test_an_unknown_output_is_named():
  with pytest.raises(RequestError, match="'scor', did you mean 'score'.*allowed: score"):
    _SIGNATURE.check_outputs(["scor"])


@pytest.mark.parametrize(
  "inputs, outputs, expected",
  [
    ({"x": _FLOATS}, _SCORE, True),
    ({"x": _FLOATS, "user": TensorInfo(tf.float32, (1, 3))}, _SCORE, False),
    ({"x": _FLOATS}, {"total": TensorInfo(tf.float32, ())}, False),
    ({"x": TensorInfo(tf.float32, None)}, _SCORE, False),
    ({}, {}, False),
  ],
)
def test_only_rows_of_examples_can_be_batched(inputs, outputs, expected):
  assert SignatureInfo("any", inputs, outputs, "predict").can_be_batched is expected


def test_an_input_with_a_default_may_be_left_out():
  inputs = {"x": _FLOATS, "k": TensorInfo(tf.int32, ())}
  signature = SignatureInfo("rank", inputs, _SCORE, "predict", {"k": np.int32(0)})
  assert signature.check({"x": np.zeros((2, 3), np.float32)}, 2) == 2
  with pytest.raises(RequestError, match="'x': missing.*needed: x$"):
    signature.check({"k": np.array(1, np.int32)}, 2)
