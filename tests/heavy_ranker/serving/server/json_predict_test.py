"""Bodies of :predict in both forms, and the fast reader against the ordinary one."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heavy_ranker.serving.server import json_columns, json_predict
from heavy_ranker.serving.server.request_errors import RequestError
from tests.heavy_ranker.serving.server.fake_manager import SIGNATURES, signature

BAZEL_SIZE = "medium"

_NUMBERS = {
  "serving_default": signature(
    {"a": (tf.float32, (None, 2)), "b": (tf.int32, (None,)), "c": (tf.float64, (None, 1, 2))}, {}
  )
}
_STRINGS = {"serving_default": signature({"s_bytes": (tf.string, (None, 2))}, {})}
_ONE = {"serving_default": signature({"a": (tf.float32, (None, 2))}, {})}


def _body(**document):
  return json.dumps(document).encode()


@settings(max_examples=100, deadline=None)
@given(st.data(), st.booleans())
def test_random_tensors_survive_both_forms(data, row_form):
  n = data.draw(st.integers(1, 5))
  tensors = {
    "a": data.draw(hnp.arrays("float32", (n, 2))),
    "b": data.draw(hnp.arrays("int32", (n,))),
    "c": data.draw(hnp.arrays("float64", (n, 1, 2))),
  }
  written = json_predict.write(tensors, row_form)
  body = written.replace(b'"predictions"', b'"instances"').replace(b'"outputs"', b'"inputs"')
  request = json_predict.parse(body, _NUMBERS)
  assert request.row_form == row_form and request.num_examples == n
  assert request.signature == "serving_default"
  for name, tensor in tensors.items():
    assert request.inputs[name].dtype == tensor.dtype
    np.testing.assert_array_equal(request.inputs[name], tensor)


@pytest.mark.parametrize("row_form", [False, True])
def test_one_tensor_stands_without_its_name(row_form):
  tensor = np.array([[1, 2], [3, 4]], np.float32)
  written = json_predict.write({"a": tensor}, row_form)
  assert json.loads(written) == {"predictions" if row_form else "outputs": tensor.tolist()}
  body = written.replace(b'"predictions"', b'"instances"').replace(b'"outputs"', b'"inputs"')
  np.testing.assert_array_equal(json_predict.parse(body, _ONE).inputs["a"], tensor)
  named = _body(instances=[{"a": [1, 2]}]) if row_form else _body(inputs={"a": [[1, 2]]})
  np.testing.assert_array_equal(json_predict.parse(named, _ONE).inputs["a"], [[1, 2]])


def test_bytes_go_as_base64():
  strings = np.array([[b"\x00\xff", b"a"]], object)
  written = json_predict.write({"s_bytes": strings}, False)
  assert written == b'{"outputs": [[{"b64": "AP8="}, {"b64": "YQ=="}]]}'
  request = json_predict.parse(written.replace(b"outputs", b"inputs"), _STRINGS)
  assert request.inputs["s_bytes"].tolist() == strings.tolist()
  plain = _body(signature_name="score_examples", inputs={"b64": "YQ=="})
  assert json_predict.parse(plain, SIGNATURES).inputs["examples"] == b"a"
  rows = _body(signature_name="score_examples", instances=[{"b64": "YQ=="}, "b"])
  assert list(json_predict.parse(rows, SIGNATURES).inputs["examples"]) == [b"a", b"b"]


def test_outputs_without_a_row_for_each_candidate_have_no_row_form():
  outputs = {"score": np.zeros(3, np.float32), "k": np.int64(2)}
  with pytest.raises(RequestError, match=r"score: 3, k: none.*'inputs'"):
    json_predict.write({k: np.asarray(v) for k, v in outputs.items()}, True)
  columns = json_predict.write({k: np.asarray(v) for k, v in outputs.items()}, False)
  assert json.loads(columns) == {"outputs": {"score": [0, 0, 0], "k": 2}}


@pytest.mark.parametrize("name", ["", "serving_default"])
def test_the_default_signature(name):
  body = _body(signature_name=name, inputs=[[1, 2]])
  assert json_predict.parse(body, _ONE).signature == "serving_default"


@pytest.mark.parametrize(
  ("body", "message"),
  [
    (b"", "the body: found nothing"),
    (b" \n", "the body: found nothing"),
    (b"{", "no JSON: Expecting property name"),
    (b"\xff\xfe{}", "byte 0: found no UTF-8"),
    ("\ufeff{}".encode(), "no JSON: Unexpected UTF-8 BOM"),
    (b"[1]", "the body: found a list of 1, allowed: an object"),
    (b"{}", "found nothing, allowed: one of 'instances' and 'inputs'"),
    (b'{"instance": []}', 'found "instance", allowed: one of'),
    (b'{"instances": [], "inputs": []}', "allowed: one of"),
    (b'{"inputs": ' + b"[]," * 2**20, "found 1048577 lists and objects, allowed: 1048576"),
    (b'{"instances": []}', "instances: found a list of 0"),
    (b'{"instances": {}}', "instances: found {}"),
    (b'{"inputs": 1, "inputs": 2}', '"inputs" found twice'),
    (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b'{"inputs": ' + b"9" * 10_000 + b"}", "no JSON: Exceeds the limit"),
    (b'{"signature_name": 1, "inputs": []}', "signature_name: found 1, allowed: a string"),
    (b'{"signature_name": "x", "inputs": []}', 'found "x", allowed: score_examples, serving_def'),
    (b'{"inputs": [1]}', "inputs: found a list of 1, allowed: an object with continuous, ids"),
    (b'{"inputs": {"ids": [1]}}', 'inputs: missing input continuous; found: "ids"'),
    (
      b'{"inputs": {"ids": [1], "continuous": [[1, 2, 3]], "x": 1}}',
      'unknown input "x"; allowed: continuous, ids',
    ),
    (
      b'{"inputs": {"ids": [1], "continuous": [[1], [2, 3]]}}',
      r"inputs.continuous\[1\]: found",
    ),
    (b'{"instances": [[1]]}', r"instances\[0\]: found a list of 1, allowed: an object with"),
    (b'{"instances": [{"ids": 1, "continuous": [1]}, 2]}', r"instances\[1\]: found 2"),
    (b'{"instances": [{"ids": 1, "continuous": [1]}, {"ids": 1}]}', r"instances\[1\]: missing"),
    (
      b'{"instances": [{"ids": 1, "continuous": [1]}, {"ids": 2, "continuous": [1, 2]}]}',
      r"instances\[1\].continuous: found a list of 2, allowed: a list of 1",
    ),
    (
      b'{"instances": [{"ids": 1, "continuous": [1]}, {"ids": 2, "continuous": ["1"]}]}',
      r'instances\[1\].continuous\[0\]: found "1"',
    ),
    (
      b'{"signature_name": "score_examples", "instances": ["a", {"b": 1}]}',
      r"instances\[1\]: found an object with \"b\", allowed: values",
    ),
  ],
)
def test_what_is_refused_is_named(body, message):
  with pytest.raises(RequestError, match=message):
    json_predict.parse(body, SIGNATURES)


_JSON_VALUES = st.recursive(
  st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
  lambda inner: (
    st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["continuous", "ids", "b64", "x"]), inner, max_size=3)
  ),
  max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
  st.fixed_dictionaries(
    {},
    optional={
      "instances": _JSON_VALUES,
      "inputs": _JSON_VALUES,
      "signature_name": st.sampled_from(["serving_default", "score_examples"]) | _JSON_VALUES,
    },
  )
)
def test_random_json_is_a_request_or_an_error_of_the_sender(document):
  body = json.dumps(document).encode()
  try:
    request = json_predict.parse(body, SIGNATURES)
  except RequestError:
    return
  assert request.inputs.keys() == SIGNATURES[request.signature].inputs.keys()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_an_error_of_the_sender(body):
  with pytest.raises(RequestError):
    json_predict.parse(body, SIGNATURES)


class TestFastReader:
  """Its answer is the ordinary reader's, or it leaves the body to it."""

  @pytest.fixture(autouse=True)
  def any_size(self, monkeypatch):
    monkeypatch.setattr(json_columns, "MIN_BYTES", 0)

  @staticmethod
  def both(body, signatures=_NUMBERS):
    fast = json_columns.parse(body, signatures, "serving_default")
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(json_columns, "MIN_BYTES", 2**40)
      return fast, json_predict.parse(body, signatures)

  @pytest.mark.parametrize("row_form", [False, True])
  def test_equals_the_ordinary_reader(self, row_form):
    generator = np.random.default_rng(0)
    tensors = {
      "a": (generator.standard_normal((50, 2)) * 10.0 ** generator.integers(-40, 38, (50, 2))),
      "b": generator.integers(-(10**6), 10**6, 50),
      "c": generator.standard_normal((50, 1, 2)) * 1e200,
    }
    tensors["a"] = tensors["a"].astype(np.float32)
    tensors["b"] = tensors["b"].astype(np.int32)
    body = json_predict.write(tensors, row_form)
    body = body.replace(b'"predictions"', b'"instances"').replace(b'"outputs"', b'"inputs"')
    fast, ordinary = self.both(body)
    assert fast[:2] == ("serving_default", row_form)
    for name, tensor in tensors.items():
      assert fast[2][name].dtype == tensor.dtype
      np.testing.assert_array_equal(fast[2][name], tensor)
      np.testing.assert_array_equal(ordinary.inputs[name], tensor)

  def test_reads_scalars(self):
    info = {"serving_default": signature({"a": (tf.float32, (None, 2)), "k": (tf.int32, ())}, {})}
    for body in (
      b'{"inputs": {"a": [[1, 2], [3, 4]], "k": 5}}',
      b'{"instances": [{"a": [1, 2], "k": 5}, {"a": [3, 4], "k": 6}]}',
    ):
      fast, ordinary = self.both(body, info)
      for name, tensor in fast[2].items():
        np.testing.assert_array_equal(tensor, ordinary.inputs[name], strict=True)

  def test_reads_the_name_of_the_signature(self):
    signatures = {"other": _ONE["serving_default"], **_NUMBERS}
    body = b'{"inputs": {"a": [[1, 2.5]]}, "signature_name": "other"}'
    fast, ordinary = self.both(body, signatures)
    assert fast[0] == ordinary.signature == "other"
    np.testing.assert_array_equal(fast[2]["a"], ordinary.inputs["a"])

  @pytest.mark.parametrize(
    "body",
    [
      b'{"inputs": {"a": [[1, NaN]]}}',
      b'{"inputs": {"a": [[1, null]]}}',
      b'{"inputs": {"a": [[1, 2], [3]]}}',
      b'{"inputs": {"a": [[1, 2], null]}}',
      b'{"inputs": {"a": []}}',
      b'{"inputs": {"a": [[]]}}',
      b'{"inputs": {"a": null}}',
      b'{"inputs": {}}',
      b'{"inputs": null}',
      b'{"inputs": {"a": [[true, 1]]}}',
      b'{"inputs": {"a": [["1", 1]]}}',
      b'{"inputs": {"a": [[1e39, 1]]}}',
      b'{"inputs": {"a": [[1e999, 1]]}}',
      b'{"inputs": {"a": [[16777217, 1]]}}',
      b'{"inputs": {"a": [[1, 2]]}} {"inputs": {"a": [[1, 2]]}}',
      b'{"inputs": {"a": [[1, 2]], "a": [[1, 2]]}}',
      b'{"inputs": {"a": [[1, 2]], "x": [[1, 2]]}}',
      b'{"inputs": {"a": [[1, 2]]}, "instances": null}',
      b'{"inputs": {"a": [[1, 2]]}, "signature_name": null}',
      b'{"inputs": {"a": [[1, 2]]}, "signature_name": ""}',
      b'{"inputs": {"a": [[1, 2]]}, "x": {"signature_name": "serving_default"}}',
      b'{"inputs": [[1, 2]]}',
      b'{"instances": [[1, 2]]}',
      b'{"instances": []}',
      b'{"instances": [{"a": [1, 2]}, {}]}',
      b'{"instances": [{"a": [1, 2]}, null]}',
      b'{"inputs": {"a": ' + b"[" * 50_000,
      b'"inputs":',
      b"",
    ],
  )
  def test_leaves_the_unusual_alone(self, body):
    assert json_columns.parse(body, _ONE, "serving_default") is None

  @pytest.mark.parametrize("value", ["2147483648", "1.0", "-2147483649", "1e3"])
  def test_integers_have_to_be_integers_in_range(self, value):
    info = {"serving_default": signature({"b": (tf.int32, (None,))}, {})}
    body = f'{{"inputs": {{"b": [{value}]}}}}'.encode()
    assert json_columns.parse(body, info, "serving_default") is None

  def test_strings_are_for_the_ordinary_reader(self):
    body = b'{"inputs": {"s_bytes": [["a"]]}}'
    assert json_columns.parse(body, _STRINGS, "serving_default") is None

  @settings(max_examples=300, deadline=None)
  @given(
    st.sampled_from(["inputs", "instances"]),
    st.lists(
      st.sampled_from(
        [
          *'[]{},:"',
          '"a"',
          "1",
          "-2.5",
          "1e400",
          "NaN",
          "null",
          "[1, 2]",
          '{"a": [1, 2]}',
          " ",
          "\n",
        ]
      ),
      max_size=8,
    ),
  )
  def test_whatever_it_reads_the_ordinary_reader_reads_the_same(self, key, tokens):
    body = f'{{"{key}": {"".join(tokens)}}}'.encode()
    if json_columns.parse(body, _ONE, "serving_default") is not None:
      fast, ordinary = self.both(body, _ONE)
      assert fast[1] == ordinary.row_form
      np.testing.assert_array_equal(fast[2]["a"], ordinary.inputs["a"])
