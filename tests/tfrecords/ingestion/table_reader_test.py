import gzip

import pytest

from tests.tfrecords.ingestion import small_table
from tfrecords.errors import ConfigError, DataError
from tfrecords.ingestion import table_files, table_reader


def rows_of(mapping, path, columns):
  files = table_files.find_files(mapping, [str(path)], "inputs")
  found = []
  for chunk in table_files.chunks_of(mapping, files):
    for block in table_reader.blocks(mapping, files, chunk, columns):
      cells = [block.column(name).to_pylist() for name in columns]
      for place, row in enumerate(zip(*cells)):
        message = str(block.row_error(place, "here"))
        found.append((int(message.partition(": row ")[2].partition(":")[0]), *row))
  return found


@pytest.mark.parametrize("size", [7, 64, 1 << 20])
@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_line_is_read_once_and_knows_its_number(tmp_path, monkeypatch, size, is_gzip, ends):
  monkeypatch.setattr(table_files, "_BYTES_A_CHUNK", 3 * size)
  monkeypatch.setattr(table_reader, "_BYTES_A_BLOCK", size)
  text = "a,b" + ends + "".join(f'{row},"x{row}"{ends}' for row in range(50)) + "50,last"
  path = tmp_path / "table"
  path.write_bytes(gzip.compress(text.encode()) if is_gzip else text.encode())
  expected = [(row + 1, str(row), f"x{row}" if row < 50 else "last") for row in range(51)]
  assert rows_of(small_table.mapping(format="csv"), path, ["a", "b"]) == expected


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
  path = tmp_path / "table"
  path.write_bytes('\ufeff"a",b\n1,2\n'.encode())
  assert rows_of(small_table.mapping(format="csv"), path, ["a", "b"]) == [(1, "1", "2")]


def test_columns_without_a_header_and_fields_that_hold_line_breaks(tmp_path):
  path = tmp_path / "table"
  path.write_text('1;"a\nb"\n2;"c;d"\n3;NA\n')
  section = {
    "columns": ["n", "text"],
    "delimiter": ";",
    "newlines_in_values": True,
    "null_values": ["NA"],
  }
  mapping = small_table.mapping(format="csv", csv=section)
  found = rows_of(mapping, path, ["n", "text"])
  assert found == [(1, "1", "a\nb"), (2, "2", "c;d"), (3, "3", None)]


def test_the_last_columns_may_be_optional(tmp_path):
  path = tmp_path / "table"
  path.write_text("1\x01\n")
  section = {"columns": ["a", "b", "c"], "delimiter": "\x01", "quote": False}
  mapping = small_table.mapping(format="csv", csv=section, optional_columns=["c"])
  assert rows_of(mapping, path, ["a", "b", "c"]) == [(1, "1", None, None)]


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("a,b\n1,2\n3\n", "row 2: found 1 fields, allowed: 2: '3'"),
    ("a,b\n1,2\n3,4,5\n", "row 2: found 3 fields, allowed: 2"),
    ("a,a\n1,2\n", "the header has column 'a' twice"),
    ("a,c\n1,2\n", "has no column 'b', allowed"),
    ("\na,b\n1,2\n", "the first line is empty"),
    ('a,"b\n1,"x\n', "row 1 is no CSV"),
    ("PAR1\x00\x15\n", "no text"),
    ("a,b\n1,\xff\n", "table"),
  ],
)
def test_a_csv_file_that_is_none_is_named(tmp_path, text, words):
  path = tmp_path / "table"
  path.write_bytes(text.encode("latin-1"))
  with pytest.raises(DataError) as error:
    mapping = small_table.mapping(format="csv")
    table_reader.check_columns(
      mapping, table_files.find_files(mapping, [str(path)], "inputs")[0], ["a", "b"]
    )
    rows_of(mapping, path, ["a", "b"])
  assert words in str(error.value)


@pytest.mark.parametrize(
  ("lines", "words"),
  [
    ('{"a": 1}\n{"a": "x"}\n', "in the 2 lines from row 1 on"),
    ('{"a": 1}\n[1]\n', "a JSON object a line"),
    ('{"a": 1}\n{"a": \n', "a JSON object a line"),
    ("\n\n", "holds no row"),
  ],
)
def test_json_lines_that_are_none_are_named(tmp_path, lines, words):
  path = tmp_path / "table"
  path.write_text(lines)
  mapping = small_table.mapping(format="jsonl")
  files = table_files.find_files(mapping, [str(path)], "inputs")
  with pytest.raises(DataError) as error:
    table_reader.column_names(mapping, files[0])
  assert words in str(error.value)


def test_a_gzip_file_cut_short_is_named(tmp_path):
  path = small_table.write_csv(tmp_path / "table.csv")
  path.write_bytes(gzip.compress(path.read_bytes())[:-20])
  with pytest.raises(DataError, match=r"table.csv: cannot be read"):
    rows_of(small_table.mapping(format="csv"), path, ["user"])


@pytest.mark.parametrize("content", [b"PAR1 but not really", b"x"])
def test_a_parquet_file_that_is_none_is_named(tmp_path, content):
  path = tmp_path / "table"
  path.write_bytes(content)
  with pytest.raises(DataError, match="table: no Parquet file"):
    rows_of(small_table.mapping(), path, ["user"])


def test_a_damaged_parquet_file_is_named(tmp_path):
  path = small_table.write_parquet(tmp_path / "table.parquet")
  data = bytearray(path.read_bytes())
  data[4:200] = bytes(196)
  path.write_bytes(data)
  with pytest.raises(DataError, match=r"table.parquet: cannot be read, or is damaged"):
    rows_of(small_table.mapping(), path, ["user"])


def test_files_that_are_not_there(tmp_path):
  with pytest.raises(DataError, match="no file matches"):
    table_files.find_files(small_table.mapping(), [str(tmp_path / "*")], "--input")
  with pytest.raises(ConfigError, match="--input=GLOB"):
    table_files.find_files(small_table.mapping(), [], "inputs")
  (tmp_path / "empty").touch()
  with pytest.raises(DataError, match="empty"):
    table_files.find_files(small_table.mapping(), [str(tmp_path / "empty")], "--input")


def test_row_groups_are_pieces(tmp_path, monkeypatch):
  monkeypatch.setattr(table_files, "_ROWS_A_CHUNK", 30)
  path = small_table.write_parquet(tmp_path / "table.parquet", row_group_size=20)
  mapping = small_table.mapping()
  files = table_files.find_files(mapping, [str(path)], "inputs")
  chunks = table_files.chunks_of(mapping, files)
  assert [(of.begin, of.end, of.first_row) for of in chunks] == [(0, 2, 0), (2, 4, 40), (4, 5, 80)]
  assert rows_of(mapping, path, ["user"]) == [(row + 1, row) for row in range(100)]
