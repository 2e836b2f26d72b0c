"""The page is told what is served, whatever the names are."""

import json
import re

import pytest

from heavy_ranker.serving.server import page_content


@pytest.fixture
def page(tmp_path, monkeypatch):
  monkeypatch.setattr(page_content, "PAGE", tmp_path / "index.html")
  return page_content.PAGE


def test_there_may_be_no_page(page):
  assert page_content.read(["a"]) is None


@pytest.mark.parametrize("name", ["ranker", "</script><b>", "ä\\1"])
def test_names_and_recipe_are_filled_in(page, name):
  page.write_text('<p>ü<script type="application/json" id="config">{}</script>', encoding="utf-8")
  score = {"weights": {"a<b": 1.5}}
  content = page_content.read([name], score).decode()
  assert content.startswith("<p>ü<script")
  config = re.search(r'id="config">([^<]*)</script>$', content)[1]
  assert json.loads(config) == {"models": [name], "score": score}


def test_a_page_without_the_place_stays_as_it_is(page):
  page.write_text("<p>", encoding="utf-8")
  assert page_content.read(["ranker"]) == b"<p>"
