"""Pieces of HTML: escaped text, names of tasks, and tables whose dashes have footnotes."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Optional

_LONGEST_NAME = 60


class Cell(NamedTuple):
  """A cell of a table.

  Attributes:
    html: its content.
    sort_key: what a column is sorted by; None stands last.
    classes: its CSS classes.
  """

  html: str
  sort_key: Optional[float] = None
  classes: str = ""


class Heading(NamedTuple):
  """A heading of a column and what it means, shown when the mouse rests on it."""

  text: str
  meaning: str = ""


class Names:
  """Short names of tasks: what follows the last dot, unless two tasks then share a name.

  Args:
    tasks: the full names.
  """

  def __init__(self, tasks: Iterable[str]):
    tasks = list(dict.fromkeys(tasks))
    last = {task: task.rsplit(".", 1)[-1] for task in tasks}
    clashing = len(set(last.values())) < len(tasks)
    self._short = {task: shortened(task if clashing else last[task]) for task in tasks}

  def html(self, task: str) -> str:
    """Returns the short name, with the full one as the tooltip."""
    return (
      f'<span title="{escape(task)}">{breakable(self._short.get(task, shortened(task)))}</span>'
    )

  def text(self, task: str) -> str:
    """Returns the short name, not escaped."""
    return self._short.get(task, shortened(task))


class Footnotes:
  """The footnotes of one table: a reason that comes again keeps its number."""

  def __init__(self):
    self._numbers: dict[str, int] = {}

  def dash(self, reason: str) -> Cell:
    """Returns the cell of a number that is not defined."""
    number = self._numbers.setdefault(reason, len(self._numbers) + 1)
    mark = f'<abbr title="{escape(reason)}">–</abbr><sup>{number}</sup>'
    return Cell(mark, None, "none")

  def html(self) -> str:
    """Returns the list of footnotes, or nothing."""
    if not self._numbers:
      return ""
    items = "".join(f"<li>{escape(reason)}</li>" for reason in self._numbers)
    return f'<ol class="footnotes">{items}</ol>'


def escape(text: object) -> str:
  """Returns text that is safe between tags and in quoted attributes."""
  return html.escape(str(text), quote=True)


def breakable(text: str) -> str:
  """Returns escaped text that may break into lines behind underscores, dots and slashes."""
  escaped = escape(text)
  for mark in "_./":
    escaped = escaped.replace(mark, f"{mark}<wbr>")
  return escaped


def formatted(value: float, style: str) -> str:
  """Returns a number with a true minus sign and a short exponent.

  Args:
    value: the number.
    style: as `format` takes it.
  """
  text = format(value, style).replace("e-0", "e-").replace("-", "−")
  return (
    text[1:] if text.startswith("−") and not any(digit in text for digit in "123456789") else text
  )


def shortened(text: str) -> str:
  """Returns text with its middle left out if it is very long."""
  if len(text) <= _LONGEST_NAME:
    return text
  half = _LONGEST_NAME // 2
  return f"{text[:half]}…{text[-half:]}"


def table(
  headings: Sequence[Heading],
  groups: Mapping[str, Sequence[Sequence[Cell]]],
  footnotes: Optional[Footnotes] = None,
) -> str:
  """Returns a table in a box of its own that scrolls sideways.

  Args:
    headings: one a column.
    groups: rows by the heading of their group, which is shown if there are several; the first cell
      of a row is its name and stays in sight.
    footnotes: those of the cells.
  """
  head = "".join(
    f'<th scope="col" title="{escape(heading.meaning)}">{_heading(heading.text)}</th>'
    for heading in headings
  )
  body = "".join(
    f"<tbody>{_group_heading(name, len(headings)) if len(groups) > 1 else ''}"
    f"{''.join(map(_row, rows))}</tbody>"
    for name, rows in groups.items()
  )
  return (
    '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
    f"<thead><tr>{head}</tr></thead>{body}</table></div>{footnotes.html() if footnotes else ''}"
  )


def _heading(text: str) -> str:
  return breakable(text) if "_" in text else escape(text)


def _group_heading(name: str, width: int) -> str:
  rest = f'<td colspan="{width - 1}"></td>' if width > 1 else ""
  return f'<tr class="group"><th scope="rowgroup">{breakable(shortened(name))}</th>{rest}</tr>'


def _row(cells: Sequence[Cell]) -> str:
  first, *rest = cells
  columns = "".join(
    f"<td{_attribute('class', cell.classes)}{_attribute('data-sort', _sort_key(cell))}>"
    f"{cell.html}</td>"
    for cell in rest
  )
  return f'<tr><th scope="row">{first.html}</th>{columns}</tr>'


def _sort_key(cell: Cell) -> str:
  return "" if cell.sort_key is None else f"{cell.sort_key:.9g}"


def _attribute(name: str, value: str) -> str:
  return f' {name}="{escape(value)}"' if value else ""
