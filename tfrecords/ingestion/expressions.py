"""Labels as expressions over columns: `play_ms / length_ms >= 0.5 and not present(hidden_at)`.

Comparisons (< <= > >= == != in, not in), arithmetic (+ - * /), and, or, not, numbers, texts, and
two functions: `present(x)` is whether a cell holds anything, `column("any name")` a column whose
name is no word. A bare column stands for what it holds: 0, 1, true or false. Python's own parser
reads the text; nothing of it is ever executed, only the forms above are taken, and a whole block
of rows is evaluated at once. A missing value makes a comparison missing; `false and missing` is
false and `true or missing` is true, as in SQL.
"""

import ast
from collections.abc import Iterator
from typing import Any, Union

import pyarrow as pa
import pyarrow.compute as pc

from tfrecords.errors import ConfigError
from tfrecords.ingestion import values
from tfrecords.ingestion.block import Block

_LONGEST = 2000
_COMPARISONS = {
  ast.Lt: pc.less,
  ast.LtE: pc.less_equal,
  ast.Gt: pc.greater,
  ast.GtE: pc.greater_equal,
  ast.Eq: pc.equal,
  ast.NotEq: pc.not_equal,
}
_ARITHMETIC = {
  ast.Add: pc.add,
  ast.Sub: pc.subtract,
  ast.Mult: pc.multiply,
  ast.Div: pc.divide,
}
_ALLOWED = "allowed: columns, numbers, texts, < <= > >= == !=, in, + - * /, and, or, not, present()"

_Value = Union[pa.Array, pa.Scalar]


class Expression:
  """A condition on the columns of a row.

  Args:
    text: the expression.
    key: where the mapping has it, for the messages.

  Attributes:
    columns: what it reads, sorted.

  Raises:
    ConfigError: it is none, or holds a form that is not allowed.
  """

  def __init__(self, text: str, key: str):
    self.text, self._key = text, key
    if len(text) > _LONGEST:
      raise self._error(f"found {len(text)} characters", f"allowed: {_LONGEST}")
    try:
      self._tree = ast.parse(text.strip(), mode="eval").body
      self.columns = sorted(set(self._check(self._tree, is_condition=True)))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
      raise self._error(f"no expression ({getattr(error, 'msg', None) or error})") from None
    if not self.columns:
      raise self._error("no column in it", "allowed: a condition on columns")

  def __call__(self, block: Block) -> pa.BooleanArray:
    """Evaluates the rows of a block.

    Returns:
      Booleans [rows], null where a missing value leaves the answer open.

    Raises:
      DataError: a cell is not what the expression takes it for; names the row.
    """
    return self._condition(self._tree, block)

  def _check(self, node: ast.AST, is_condition: bool) -> Iterator[str]:
    """Yields the columns, and refuses what is not in the language."""
    name = self._column(node)
    if name is not None:
      yield name
    elif is_condition:
      yield from self._check_condition(node)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
      for side in (node.left, node.right):
        if isinstance(_constant(side), str):
          raise self._error(f"calculates with {_source(side)!r}")
        yield from self._check(side, False)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
      yield from self._check(node.operand, False)
    elif not _is_constant(node):
      raise self._error(f"found {_source(node)!r} where a column or a number has to be")

  def _check_condition(self, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.BoolOp):
      for value in node.values:
        yield from self._check(value, True)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
      yield from self._check(node.operand, True)
    elif isinstance(node, ast.Compare):
      yield from self._check(node.left, False)
      self._check_kinds(node)
      for operation, operand in zip(node.ops, node.comparators):
        if isinstance(operation, (ast.In, ast.NotIn)):
          self._check_list(operand)
        elif type(operation) in _COMPARISONS:
          yield from self._check(operand, False)
        else:
          raise self._error(f"found {_source(node)!r}")
    elif _is_call(node, "present") and self._column(node.args[0]) is not None:
      yield self._column(node.args[0])
    else:
      raise self._error(f"found {_source(node)!r} where a condition has to be")

  def _check_kinds(self, node: ast.Compare) -> None:
    """Refuses a text beside a number: columns alone can be either."""
    sides = [node.left, *node.comparators]
    for pair in zip(sides, sides[1:]):
      constants = [_constant(side) for side in pair]
      if not any(isinstance(constant, str) for constant in constants):
        continue
      for side, constant in zip(pair, constants):
        if self._column(side) is None and not isinstance(constant, str):
          raise self._error(f"compares {_source(side)!r} with a text")

  def _check_list(self, node: ast.AST) -> None:
    is_list = isinstance(node, (ast.List, ast.Tuple)) and node.elts
    if not is_list or not all(_is_constant(item) for item in node.elts):
      raise self._error(f"found in {_source(node)!r}", "allowed: in [1, 2] or in ['a', 'b']")
    if len({isinstance(_constant(item), str) for item in node.elts}) > 1:
      raise self._error(f"found texts and numbers in {_source(node)!r}", "allowed: one of them")

  def _condition(self, node: ast.AST, block: Block) -> pa.BooleanArray:
    name = self._column(node)
    if name is not None:
      return values.booleans(block, name)
    if isinstance(node, ast.BoolOp):
      combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
      result = self._condition(node.values[0], block)
      for value in node.values[1:]:
        result = combine(result, self._condition(value, block))
      return result
    if isinstance(node, ast.UnaryOp):
      return pc.invert(self._condition(node.operand, block))
    if isinstance(node, ast.Compare):
      return self._comparison(node, block)
    return pc.invert(values.is_missing(block, self._column(node.args[0])))

  def _comparison(self, node: ast.Compare, block: Block) -> pa.BooleanArray:
    operands = [node.left, *node.comparators]
    result = None
    for left, operation, right in zip(operands, node.ops, operands[1:]):
      found = self._compare(left, operation, right, block)
      result = found if result is None else pc.and_kleene(result, found)
    return result

  def _compare(
    self, left: ast.AST, operation: ast.cmpop, right: ast.AST, block: Block
  ) -> pa.BooleanArray:
    if isinstance(operation, (ast.In, ast.NotIn)):
      members = [_constant(item) for item in right.elts]
      is_text = isinstance(members[0], str)
      found = self._value(left, block, is_text)
      inside = pc.is_in(found, value_set=pa.array(members, found.type))
      inside = pc.if_else(pc.is_null(found), pa.scalar(None, pa.bool_()), inside)
      return inside if isinstance(operation, ast.In) else pc.invert(inside)
    is_text = any(isinstance(_constant(side), str) for side in (left, right))
    sides = self._value(left, block, is_text), self._value(right, block, is_text)
    result = _COMPARISONS[type(operation)](*sides)
    if isinstance(result, pa.Scalar):
      return pa.array([result.as_py()] * len(block), pa.bool_())
    for side in sides:
      if pa.types.is_floating(side.type):  # NaN, such as 0 / 0, is as good as missing.
        result = pc.if_else(pc.is_nan(side), pa.scalar(None, pa.bool_()), result)
    return result

  def _value(self, node: ast.AST, block: Block, is_text: bool) -> _Value:
    name = self._column(node)
    if name is not None:
      return values.texts(block, name) if is_text else values.numbers(block, name)
    constant = _constant(node)
    if constant is not None:
      return pa.scalar(constant)
    if isinstance(node, ast.UnaryOp):
      return pc.negate(self._value(node.operand, block, False))
    # In float64, for whole numbers too: nothing overflows, and 1 / 2 is a half.
    sides = [
      pc.cast(self._value(side, block, False), pa.float64(), safe=False)
      for side in (node.left, node.right)
    ]
    return _ARITHMETIC[type(node.op)](*sides)

  def _column(self, node: ast.AST) -> Any:
    if isinstance(node, ast.Name):
      return node.id
    if _is_call(node, "column") and isinstance(_constant(node.args[0]), str):
      return _constant(node.args[0])
    return None

  def _error(self, problem: str, allowed: str = _ALLOWED) -> ConfigError:
    return ConfigError(f"{self._key}: {self.text[:200]!r}: {problem}, {allowed}")


def _is_call(node: ast.AST, name: str) -> bool:
  return (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Name)
    and node.func.id == name
    and len(node.args) == 1
    and not node.keywords
  )


def _is_constant(node: ast.AST) -> bool:
  return _constant(node) is not None


def _constant(node: ast.AST) -> Any:
  """Returns a number or a text, or None if the node is neither."""
  if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
    number = _constant(node.operand)
    return -number if isinstance(number, (int, float)) else None
  if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
    return None
  if isinstance(node.value, int) and abs(node.value) >= 2**63:
    return None
  return node.value if isinstance(node.value, (int, float, str)) else None


def _source(node: ast.AST) -> str:
  return ast.unparse(node)[:60]
