"""The page at `/`, told which models there are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

BAZEL_DATA = ["//heavy_ranker/serving/server/page:all"]
PAGE = Path(__file__).parent / "page" / "index.html"
_PLACE = '<script type="application/json" id="config">{}</script>'


def read(models: Sequence[str], score: Optional[Mapping[str, Any]] = None) -> Optional[bytes]:
  """Returns the page; None if this server came without one.

  It is read anew for each request: who works on the page only has to load it again.

  Args:
    models: the names of the models served; the page offers them.
    score: the recipe of the model's score, `assets.extra/score.json`, if it is known.
  """
  try:
    page = PAGE.read_text(encoding="utf-8")
  except OSError:
    return None
  config = {"models": list(models), **({"score": score} if score else {})}
  # Inside a script element, < could end it.
  text = json.dumps(config).replace("<", "\\u003c")
  return page.replace(_PLACE, _PLACE.replace("{}", text), 1).encode()
