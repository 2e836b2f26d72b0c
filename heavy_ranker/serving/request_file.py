"""A request of the REST API, kept in a file: what its JSON asks for, as columns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import tensorflow as tf

from heavy_ranker.serving.json_values import from_json
from tfrecords.errors import DataError, reason

_ALLOWED = 'allowed: {"signature_name": NAME, "inputs": COLUMNS} or {..., "instances": ROWS}'


@dataclass(frozen=True)
class RequestFile:
  """A request as the REST API of TensorFlow Serving takes it.

  Attributes:
    path: the file.
    signature: the signature it names, if it does.
    columns: nested lists by input; under None if there is an only input without its name.
  """

  path: str
  signature: Optional[str]
  columns: Mapping[Optional[str], Any]

  def inputs(self, names: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns by name.

    Args:
      names: the inputs of the signature.

    Raises:
      DataError: a name is missing, since the signature has several inputs.
    """
    if None not in self.columns:
      return dict(self.columns)
    if len(names) != 1:
      raise DataError(f"{self.path}: found values without a name, allowed: {', '.join(names)}")
    return {next(iter(names)): self.columns[None]}


def read_request(path: str) -> RequestFile:
  """Reads a request, by columns ("inputs") or by rows ("instances").

  Raises:
    DataError: the file cannot be read, or holds no request.
  """
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      content = json.loads(file.read())
  except tf.errors.OpError as error:
    raise DataError(f"{path}: cannot be read: {reason(error)}") from None
  except (ValueError, RecursionError) as error:
    raise DataError(f"{path}: no JSON: {error}") from None
  if not isinstance(content, dict) or ("inputs" in content) == ("instances" in content):
    found = sorted(content) if isinstance(content, dict) else type(content).__name__
    raise DataError(f"{path}: found {found}, {_ALLOWED}")
  signature = content.get("signature_name")
  if signature is not None and not isinstance(signature, str):
    raise DataError(f"{path}: signature_name: found {signature!r}, allowed: a name")
  columns = content["inputs"] if "inputs" in content else _turned(content["instances"], path)
  if not isinstance(columns, dict) or set(columns) == {"b64"}:
    columns = {None: columns}
  return RequestFile(path, signature, {n: _values(n, v, path) for n, v in columns.items()})


def _turned(rows: Any, path: str) -> Any:
  """Returns rows as columns; rows of an only input stay."""
  if not isinstance(rows, list) or not rows:
    raise DataError(f"{path}: instances: found {type(rows).__name__}, allowed: a list of rows")
  names = [set(row) if isinstance(row, dict) and set(row) != {"b64"} else None for row in rows]
  for number, found in enumerate(names):
    if found != names[0]:
      raise DataError(f"{path}: instances.{number}: found other inputs than in the first row")
  return rows if names[0] is None else {name: [row[name] for row in rows] for name in rows[0]}


def _values(name: Optional[str], value: Any, path: str) -> Any:
  try:
    return from_json(value)
  except ValueError as error:
    raise DataError(f"{path}: {name or 'inputs'}: {error}") from None
