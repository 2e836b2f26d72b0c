"""Text of BUILD files in the form that buildifier gives them."""

from collections.abc import Iterable
from typing import Union

# The order of attributes; those not named here stand between, in alphabetical order.
_FIRST = ("name", "size", "testonly", "srcs")
_LAST = ("deps",)

Value = Union[str, bool, list[str], None]


class Expression(str):
  """Starlark to be written as it is."""


def label_key(label: str) -> tuple[int, list[str]]:
  """The order of labels: this package's, this repository's, other repositories'."""
  return (
    0 if label.startswith(":") else 2 if label.startswith("@") else 1 if label[:2] == "//" else -1,
    label.replace(":", ".").split("."),
  )


def string_list(values: Iterable[str], indent: str = "    ") -> Expression:
  """Formats a list of labels or file names.

  Args:
    values: in any order, perhaps repeatedly.
    indent: of the line the list stands in.

  Returns:
    `["one"]`, or a line for each of several.
  """
  quoted = [f'"{value}"' for value in sorted(set(values), key=label_key)]
  if len(quoted) < 2:
    return Expression(f"[{''.join(quoted)}]")
  lines = "".join(f"{indent}    {text},\n" for text in quoted)
  return Expression(f"[\n{lines}{indent}]")


def rule(function: str, **attributes: Value) -> str:
  """Formats a target.

  Args:
    function: such as "py_library".
    **attributes: those that are None, False or empty are left out.

  Returns:
    The call, with a line for each attribute.
  """
  lines = [
    f"    {key} = {_value(value)},\n"
    for key, value in sorted(attributes.items(), key=lambda item: _attribute_key(item[0]))
    if value
  ]
  return f"{function}(\n{''.join(lines)})\n"


def _attribute_key(name: str) -> tuple[int, int, str]:
  if name in _FIRST:
    return (0, _FIRST.index(name), name)
  return (2, _LAST.index(name), name) if name in _LAST else (1, 0, name)


def _value(value: Value) -> str:
  if isinstance(value, Expression):
    return value
  if isinstance(value, str):
    return f'"{value}"'
  return string_list(value) if isinstance(value, list) else str(value)
