"""JSON files that appear whole or not at all."""

from typing import Any

from tfrecords import files, strict_json


def write(path: str, content: Any) -> None:
  """Writes plain data; NaN and infinities, which JSON lacks, become null."""
  files.write(path, strict_json.text_of(content, indent=2), "Write elsewhere")
