"""Reads chunks of CSV, JSON lines and Parquet files as blocks of rows, in bounded memory."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Union

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import DataError, reason
from tfrecords.ingestion.block import Block
from tfrecords.ingestion.mapping import CsvFormat, Mapping
from tfrecords.ingestion.table_files import Chunk, TableFile, open_input, open_parquet

_ROWS_A_BLOCK = 8192
_BYTES_A_BLOCK = 8 << 20
_LONGEST_LINE = 64 << 20


def blocks(
  mapping: Mapping, files: Sequence[TableFile], chunk: Chunk, columns: Sequence[str]
) -> Iterator[Block]:
  """Yields the rows of a chunk in order.

  Args:
    mapping: how the files are written.
    files: the table's.
    chunk: what to read of them.
    columns: the columns to read; a file may lack optional ones.

  Raises:
    DataError: the file is damaged, a line has too many or too few fields, or a column is missing.
  """
  file = files[chunk.file]
  readers = {"parquet": _parquet, "csv": _csv, "jsonl": _json}
  try:
    yield from readers[mapping.format](mapping, file, chunk, columns)
  except (EOFError, OSError, pa.ArrowException) as error:
    raise DataError(
      f"{file.path}: cannot be read, or is damaged: {reason(error)}; write it again or remove it"
    ) from None


def column_names(mapping: Mapping, file: TableFile) -> list[str]:
  """Returns the columns of a file, in order; those of JSON lines are in its first lines.

  Raises:
    DataError: the file does not hold what the mapping says.
  """
  if mapping.format == "parquet":
    with open_parquet(file.path) as opened:
      return opened.schema_arrow.names
  chunk = Chunk(0, 0, file.n_bytes, 0, file.n_bytes)
  try:
    if mapping.format == "csv":
      return _csv_columns(mapping, file)
    for batch, _ in _json_batches(file, chunk):
      return batch.schema.names
  except (EOFError, OSError, pa.ArrowException) as error:
    raise DataError(f"{file.path}: cannot be read: {reason(error)}") from None
  raise DataError(f"{file.path}: holds no row, allowed: a JSON object a line")


def check_columns(mapping: Mapping, file: TableFile, columns: Sequence[str]) -> dict[str, str]:
  """Checks that a file has the columns, but for optional ones.

  Returns:
    The types of those it has in a Parquet file, by name; nothing for other formats.

  Raises:
    DataError: it lacks one.
  """
  present, _ = _part(columns, column_names(mapping, file), mapping, file.path)
  if mapping.format != "parquet":
    return {}
  with open_parquet(file.path) as opened:
    return {name: str(opened.schema_arrow.field(name).type) for name in present}


def _parquet(
  mapping: Mapping, file: TableFile, chunk: Chunk, columns: Sequence[str]
) -> Iterator[Block]:
  with open_parquet(file.path) as opened:
    present, absent = _part(columns, opened.schema_arrow.names, mapping, file.path)
    row = chunk.first_row
    for batch in opened.iter_batches(
      batch_size=_ROWS_A_BLOCK,
      row_groups=list(range(chunk.begin, chunk.end)),
      columns=present,
      use_threads=False,
    ):
      yield Block(batch, file.path, _constant(row + 1), absent)
      row += batch.num_rows


def _csv(
  mapping: Mapping, file: TableFile, chunk: Chunk, columns: Sequence[str]
) -> Iterator[Block]:
  names = _csv_columns(mapping, file)
  present, absent = _part(columns, names, mapping, file.path)
  section = mapping.csv or CsvFormat()
  read = dict(column_names=names, use_threads=False)
  convert = pa.csv.ConvertOptions(
    include_columns=present,
    column_types=dict.fromkeys(names, pa.string()),
    null_values=section.null_values,
    strings_can_be_null=True,
    quoted_strings_can_be_null=True,
  )
  has_header = section.columns is None
  if section.newlines_in_values:
    options = pa.csv.ReadOptions(
      block_size=_BYTES_A_BLOCK, skip_rows_after_names=int(has_header), **read
    )
    row = 0
    with open_input(file) as stream, _named_rows(section, file.path, _constant(1)) as parse:
      for batch in pa.csv.open_csv(stream, options, parse, convert):
        yield Block(batch, file.path, _constant(row + 1), absent)
        row += batch.num_rows
    return
  for lines, first_row in _line_blocks(file, chunk, int(has_header)):
    options = pa.csv.ReadOptions(block_size=len(lines) + 1, **read)
    with _named_rows(section, file.path, first_row) as parse:
      table = pa.csv.read_csv(io.BytesIO(lines), options, parse, convert)
    for batch in table.combine_chunks().to_batches():
      yield Block(batch, file.path, first_row, absent)


def _json(_: Mapping, file: TableFile, chunk: Chunk, columns: Sequence[str]) -> Iterator[Block]:
  for batch, first_row in _json_batches(file, chunk):
    for name in columns:
      if name not in batch.schema.names:  # No line of these has the key: nothing is there.
        batch = batch.append_column(name, pa.nulls(len(batch)))
    yield Block(batch.select(columns), file.path, first_row)


def _json_batches(
  file: TableFile, chunk: Chunk
) -> Iterator[tuple[pa.RecordBatch, Callable[[], int]]]:
  for lines, first_row in _line_blocks(file, chunk, 0):
    options = pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
      table = pa.json.read_json(io.BytesIO(lines), options)
    except pa.ArrowInvalid as error:
      n_lines = max(lines.count(b"\n"), 1)
      raise DataError(
        f"{file.path}: in the {n_lines} lines from row {first_row()} on: "
        f"{reason(error)}; allowed: a JSON object a line, the values of a key of one type"
      ) from None
    for batch in table.combine_chunks().to_batches():
      yield batch, first_row


@contextlib.contextmanager
def _named_rows(
  section: CsvFormat, path: str, first_row: Callable[[], int]
) -> Iterator[pa.csv.ParseOptions]:
  """A context that gives how to parse, and names a row of too many or too few fields."""
  refused: list[str] = []

  def refuse(row: Any) -> str:
    number = "" if row.number is None else f" {first_row() + row.number - 1}"
    refused.append(
      f"{path}: row{number}: found {row.actual_columns} fields, allowed: {row.expected_columns}: "
      f"{row.text[:80]!r}. If fields hold line breaks in quotes, set csv.newlines_in_values"
    )
    return "error"

  try:
    yield pa.csv.ParseOptions(
      delimiter=section.delimiter,
      quote_char=section.quote,
      newlines_in_values=section.newlines_in_values,
      invalid_row_handler=refuse,
    )
  except pa.ArrowInvalid:
    if not refused:
      raise
    raise DataError(refused[0]) from None


def _csv_columns(mapping: Mapping, file: TableFile) -> list[str]:
  """Returns the header, or what the mapping says: without the last ones if they are optional."""
  section = mapping.csv or CsvFormat()
  fields = _first_row(file, section.delimiter, section.quote)
  if section.columns is None:
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
      raise DataError(f"{file.path}: the header has column {twice[0]!r} twice, allowed: once")
    return list(fields)
  lacking = section.columns[len(fields) :]
  if len(fields) > len(section.columns) or set(lacking) - set(mapping.optional_columns):
    raise DataError(
      f"{file.path}: row 1: found {len(fields)} fields, allowed: the {len(section.columns)} of "
      "csv.columns, or without the last ones of them if they are optional_columns. See to "
      "csv.delimiter, too"
    )
  return section.columns[: len(fields)]


@lru_cache(maxsize=64)
def _first_row(file: TableFile, delimiter: str, quote: Union[bool, str]) -> list[str]:
  """Returns the fields of a file's first row, which is the header or counts the columns."""
  quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
  with open_input(file) as stream:
    pieces = iter(lambda: stream.readline(_LONGEST_LINE), b"")
    # A byte order mark, as some programs write it, can only be at the very beginning.
    lines = (line.decode("utf-8" if n else "utf-8-sig") for n, line in enumerate(pieces))
    try:
      row = next(csv.reader(lines, delimiter=delimiter, strict=True, **quoting), [])
    except (csv.Error, ValueError) as error:
      raise DataError(
        f"{file.path}: row 1 is no CSV in UTF-8 ({error}), allowed: such text, or another format: "
        "in the mapping"
      ) from None
  if not any(row) or "\0" in "".join(row):
    raise DataError(
      f"{file.path}: the first line is empty or no text, allowed: names or values of columns"
    )
  return row


def _line_blocks(
  file: TableFile, chunk: Chunk, n_header_lines: int
) -> Iterator[tuple[bytes, Callable[[], int]]]:
  """Yields whole lines that begin in a chunk, some megabytes at a time, and their first row."""
  with open_input(file) as stream:
    position = chunk.begin
    if chunk.begin:
      stream.seek(chunk.begin - 1)
      position += len(stream.readline()) - 1
    elif n_header_lines:
      position += len(stream.readline())
    row = 0 if chunk.begin == 0 else None
    end = None if file.is_gzip else chunk.end
    while end is None or position < end:
      size = _BYTES_A_BLOCK if end is None else min(_BYTES_A_BLOCK, end - position)
      lines = stream.read(size)
      if not lines:
        return
      if not lines.endswith(b"\n"):
        lines += stream.readline(_LONGEST_LINE)
      begin = position
      position += len(lines)
      if lines.strip():
        yield lines, _row_at(file, begin, n_header_lines) if row is None else _constant(row + 1)
      if row is not None:
        row += lines.count(b"\n")


def _row_at(file: TableFile, position: int, n_header_lines: int) -> Callable[[], int]:
  """Counts the lines before a position; only an error message needs it."""

  def count() -> int:
    n_lines, left = 0, position
    with open_input(file) as stream:
      while left > 0:
        data = stream.read(min(left, _BYTES_A_BLOCK))
        if not data:
          break
        n_lines, left = n_lines + data.count(b"\n"), left - len(data)
    return n_lines - n_header_lines + 1

  return count


def _part(
  columns: Sequence[str], found: Sequence[str], mapping: Mapping, path: str
) -> tuple[list[str], list[str]]:
  absent = [name for name in columns if name not in found]
  for name in absent:
    if name not in mapping.optional_columns:
      raise DataError(
        f"{path}: has no column {name!r}{did_you_mean(name, found)}, allowed: all that the mapping "
        "names, or name it under optional_columns"
      )
  return [name for name in columns if name not in absent], absent


def _constant(number: int) -> Callable[[], int]:
  return lambda: number
