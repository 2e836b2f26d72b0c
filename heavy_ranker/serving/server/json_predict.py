"""The bodies of :predict, in row form ("instances") and in columnar form ("inputs")."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from heavy_ranker.serving.server import json_columns, json_tensors
from heavy_ranker.serving.server.json_tensors import found, is_base64
from heavy_ranker.serving.server.request_errors import Code, RequestError

DEFAULT_SIGNATURE = "serving_default"
# Empty ones take 30 times their text, and minutes: more than any request of numbers has.
_MAX_NESTED = 2**20
INSTANCES, INPUTS, SIGNATURE_NAME = "instances", "inputs", "signature_name"


@dataclass(frozen=True)
class PredictRequest:
  """What a body asks for.

  Attributes:
    signature: the signature's name.
    row_form: whether the answer is to be in row form.
    inputs: a tensor for each input of the signature.
  """

  signature: str
  row_form: bool
  inputs: Mapping[str, np.ndarray]

  @property
  def num_examples(self) -> int:
    """The largest first dimension; the user's inputs of `rank` have 1."""
    return max((tensor.shape[0] for tensor in self.inputs.values() if tensor.ndim), default=0)


def parse(body: bytes, signatures: Mapping[str, Any]) -> PredictRequest:
  """Reads a body.

  Args:
    body: UTF-8.
    signatures: `LoadedVersion.signatures`: their inputs with dtype and shape.

  Raises:
    RequestError: it is no JSON or none of a request; shapes are for the model to check.
  """
  columns = json_columns.parse(body, signatures, DEFAULT_SIGNATURE)
  if columns is not None:
    return PredictRequest(*columns)
  document = _load(body)
  if type(document) is not dict:
    _refuse(f"the body: found {found(document)}, allowed: an object")
  signature = document.get(SIGNATURE_NAME, DEFAULT_SIGNATURE)
  if type(signature) is not str:
    _refuse(f"{SIGNATURE_NAME}: found {found(signature)}, allowed: a string")
  signature = signature or DEFAULT_SIGNATURE
  if signature not in signatures:
    _refuse(f"{SIGNATURE_NAME}: found {found(signature)}, allowed: {', '.join(sorted(signatures))}")
  inputs = signatures[signature].inputs
  if (INSTANCES in document) == (INPUTS in document):
    _refuse(f"the body: found {_keys(document)}, allowed: one of '{INSTANCES}' and '{INPUTS}'")
  if INSTANCES in document:
    return PredictRequest(signature, True, _from_rows(document[INSTANCES], inputs))
  return PredictRequest(signature, False, _from_columns(document[INPUTS], inputs))


def write(outputs: Mapping[str, np.ndarray], row_form: bool) -> bytes:
  """Returns the answer: "predictions" in row form, "outputs" in columnar form.

  A single output stands without its name.

  Raises:
    RequestError: outputs of different first dimensions have no row form.
  """
  texts = {name: json_tensors.to_texts(tensor, name) for name, tensor in outputs.items()}
  if row_form:
    text = f'{{"predictions": [{", ".join(_rows(outputs, texts))}]}}'
  else:
    columns = {
      name: f"[{', '.join(texts[name])}]" if tensor.ndim else texts[name][0]
      for name, tensor in outputs.items()
    }
    named = ", ".join(f"{json.dumps(name)}: {column}" for name, column in columns.items())
    text = f'{{"outputs": {next(iter(columns.values())) if len(columns) == 1 else f"{{{named}}}"}}}'
  return text.encode()


def _rows(outputs: Mapping[str, np.ndarray], texts: Mapping[str, list[str]]) -> list[str]:
  sizes = {name: tensor.shape[0] if tensor.ndim else None for name, tensor in outputs.items()}
  if len(set(sizes.values())) > 1 or None in sizes.values():
    listed = ", ".join(f"{name}: {size or 'none'}" for name, size in sizes.items())
    _refuse(
      f"the outputs have different first dimensions ({listed}), allowed: the columnar form, "
      f"'{INPUTS}'"
    )
  if len(texts) == 1:
    return next(iter(texts.values()))
  keys = [json.dumps(name) for name in texts]
  return [
    f"{{{', '.join([f'{key}: {text}' for key, text in zip(keys, row)])}}}"
    for row in zip(*texts.values())
  ]


def _load(body: bytes) -> Any:
  nested = body.count(b"[") + body.count(b"{")
  if nested > _MAX_NESTED:
    _refuse(f"the body: found {nested} lists and objects, allowed: {_MAX_NESTED}")
  if not body.strip():
    _refuse("the body: found nothing, allowed: a JSON object")
  try:
    return json.loads(
      body.decode(),
      parse_constant=json_tensors.CONSTANTS.__getitem__,
      object_pairs_hook=_without_duplicates,
    )
  except UnicodeDecodeError as error:
    _refuse(f"the body: byte {error.start}: found no UTF-8, allowed: UTF-8")
  except RecursionError:
    _refuse("the body: nested too deeply, allowed: tensors")
  except ValueError as error:  # JSONDecodeError, and integers of thousands of digits.
    _refuse(f"the body: no JSON: {error}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  unique = dict(pairs)
  if len(unique) != len(pairs):
    names = [name for name, _ in pairs]
    name = next(name for name in names if names.count(name) > 1)
    _refuse(f"the body: {found(name)} found twice in one object, allowed: once")
  return unique


def _from_rows(rows: Any, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
  if type(rows) is not list or not rows:
    _refuse(f"{INSTANCES}: found {found(rows)}, allowed: a list with an element a candidate")
  if type(rows[0]) is not dict or is_base64(rows[0]):
    name = _only_input(inputs, f"{INSTANCES}[0]", rows[0])
    for i, row in enumerate(rows):
      if type(row) is dict and not is_base64(row):
        _refuse(f"{INSTANCES}[{i}]: found {found(row)}, allowed: values, as in {INSTANCES}[0]")
    columns = {name: rows}
  else:
    for i, row in enumerate(rows):
      if type(row) is not dict or row.keys() != inputs.keys():
        _require_names(row, inputs, f"{INSTANCES}[{i}]")
    columns = {name: [row[name] for row in rows] for name in inputs}
  return {
    name: json_tensors.to_array(
      column,
      inputs[name].dtype,
      lambda index, name=name: _place(f"{INSTANCES}{_indices(index[:1])}.{name}", index[1:]),
    )
    for name, column in columns.items()
  }


def _from_columns(columns: Any, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
  if type(columns) is not dict or is_base64(columns):
    columns = {_only_input(inputs, INPUTS, columns): columns}
  _require_names(columns, inputs, INPUTS)
  return {
    name: json_tensors.to_array(
      columns[name], info.dtype, lambda index, name=name: _place(f"{INPUTS}.{name}", index)
    )
    for name, info in inputs.items()
  }


def _only_input(inputs: Mapping[str, Any], place: str, value: Any) -> str:
  if len(inputs) != 1:
    _refuse(f"{place}: found {found(value)}, allowed: an object with {', '.join(inputs)}")
  return next(iter(inputs))


def _require_names(named: Any, inputs: Mapping[str, Any], place: str) -> None:
  if type(named) is not dict:
    _refuse(f"{place}: found {found(named)}, allowed: an object with {', '.join(inputs)}")
  missing = [name for name in inputs if name not in named]
  unknown = [name for name in named if name not in inputs]
  if missing:
    _refuse(f"{place}: missing input {', '.join(missing)}; found: {_keys(named)}")
  if unknown:
    listed = ", ".join(map(found, unknown[:3]))
    _refuse(f"{place}: unknown input {listed}; allowed: {', '.join(inputs)}")


def _keys(named: Mapping[str, Any]) -> str:
  return ", ".join(map(found, list(named)[:20])) or "nothing"


def _place(prefix: str, index: Any) -> str:
  return prefix + _indices(index)


def _indices(index: Any) -> str:
  return "".join(f"[{i}]" for i in index)


def _refuse(message: str) -> NoReturn:
  raise RequestError(Code.INVALID_ARGUMENT, message)
