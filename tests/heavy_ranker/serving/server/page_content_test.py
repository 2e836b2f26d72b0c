"""What is written into the page, and that nothing in it can become markup."""

import json
from html.parser import HTMLParser

import pytest

from heavy_ranker.serving.exporter import SCORE_FILE
from heavy_ranker.serving.server.page_content import page_content, read_score

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \ud800 \\ \"'"


class _Scripts(HTMLParser):
  def __init__(self):
    super().__init__()
    self.found = []
    self._is_inside = False

  def handle_starttag(self, tag, attrs):
    self._is_inside = tag == "script"
    if self._is_inside:
      self.found.append([dict(attrs), ""])

  def handle_endtag(self, tag):
    self._is_inside = False

  def handle_data(self, data):
    if self._is_inside:
      self.found[-1][1] += data


@pytest.mark.parametrize("score", [None, {}, {"weights": {HOSTILE: 1.5}, "other": [HOSTILE]}])
@pytest.mark.parametrize("models", [[], ["heavy_ranker"], [HOSTILE, "b"]], ids=len)
def test_the_page_carries_its_config(models, score):
  parser = _Scripts()
  parser.feed(page_content(models, score).decode())
  (attributes, text), (_, program) = parser.found
  assert attributes == {"type": "application/json", "id": "config"}
  config = json.loads(text)
  assert config.pop("models") == models
  assert config == ({} if score is None else {"score": score})
  assert program.strip().startswith('"use strict"')


@pytest.mark.parametrize(
  "text, expected",
  [
    (b'{"weights": {"a": 1}}', {"weights": {"a": 1}}),
    (b"[1]", None),
    (b'{"weights"', None),
    (b"\xff\xfe\x00", None),
    (b"[" * 100_000, None),
    (None, None),
  ],
  ids=["recipe", "list", "cut off", "no text", "deep", "absent"],
)
def test_an_exports_recipe_is_read_if_it_is_there(tmp_path, text, expected):
  if text is not None:
    path = tmp_path / SCORE_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
  assert read_score(str(tmp_path)) == expected
