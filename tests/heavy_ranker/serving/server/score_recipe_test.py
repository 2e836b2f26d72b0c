"""The recipe is read if it is there and never in the way if it is not."""

import pytest

from heavy_ranker.serving.export_files import SCORE_FILE
from heavy_ranker.serving.server.score_recipe import read_score_recipe


@pytest.mark.parametrize(
  "text, expected",
  [
    (b'{"weights": {"a": 1, "b": NaN}}', {"weights": {"a": 1, "b": None}}),
    (b"[1]", None),
    (b'{"weights"', None),
    (b"\xff\xfe\x00", None),
    (b"[" * 100_000, None),
    (None, None),
  ],
  ids=["recipe", "list", "cut off", "no text", "deep", "absent"],
)
def test_reads_what_is_there(tmp_path, text, expected):
  if text is not None:
    path = tmp_path / SCORE_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
  assert read_score_recipe(str(tmp_path)) == expected
