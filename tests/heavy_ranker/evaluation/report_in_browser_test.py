"""The evaluation report in a browser, narrow and dark as well as wide and light."""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest
from matplotlib import image

from heavy_ranker.evaluation.report import write_report
from tests.heavy_ranker.evaluation.sample_results import write_samples
from tests.heavy_ranker.serving.server.browser import BROWSER, FLAGS, NAMES

# Chromium's window is at least 500 pixels wide, a frame is not.
_FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark">
<body style="margin:0"><iframe style="width:{width}px;height:1800px;border:0" srcdoc="{page}">
</iframe></body>"""
# Put at the page's end; what it finds goes into an element of the page around the frame.
_PROBE = """<script>
{
  const page = document.documentElement, found = document.createElement("output");
  const headings = [...document.querySelectorAll("thead button")];
  const heading = headings.find((button) => button.innerText === "AUROC");
  heading.click();
  const rows = [...heading.closest("table").tBodies[0].rows].slice(1);
  const column = heading.closest("th").cellIndex;
  found.textContent = JSON.stringify({
    window: innerWidth,
    page: page.scrollWidth,
    sorted: rows.map((row) => row.cells[column].dataset.sort ?? null),
    plots: [...document.querySelectorAll("svg.plot")].map((plot) => plot.clientWidth),
    ink: getComputedStyle(document.querySelector("svg.plot text")).fill,
  });
  parent.document.body.append(found);
}
</script></body>"""

pytestmark = pytest.mark.skipif(
  BROWSER is None, reason=f"none of {', '.join(NAMES)} is on the PATH"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  write_samples(folder, steps=(400, 800), num_tasks=4)
  text = Path(write_report(str(folder))).read_text(encoding="utf-8")
  return text.replace("</body>", _PROBE)


def _open(page: str, folder: Path, width: int, *flags: str) -> tuple[dict, Path]:
  """Returns what the probe found and a picture; fails on any message in the console."""
  picture, frame = folder / "page.png", folder / "frame.html"
  frame.write_text(_FRAME.format(width=width, page=html.escape(page)), encoding="utf-8")
  command = [
    BROWSER,
    *FLAGS,
    "--enable-logging=stderr",
    *flags,
    f"--user-data-dir={folder / 'profile'}",
  ]
  command += [f"--window-size={width},1800", "--dump-dom", f"--screenshot={picture}"]
  result = subprocess.run(
    [*command, frame.as_uri()], capture_output=True, text=True, timeout=200, check=True
  )
  assert "CONSOLE" not in result.stderr
  return json.loads(re.search(r"<output>(.*?)</output>", result.stdout)[1]), picture


@pytest.mark.parametrize(
  "width, flags, is_dark",
  [
    (1600, [], False),
    (1250, [], False),
    (400, ["--blink-settings=preferredColorScheme=0"], True),
  ],
)
def test_fits_the_window_and_is_readable(page, tmp_path, width, flags, is_dark):
  found, picture = _open(page, tmp_path, width, *flags)
  assert found["page"] <= found["window"] == width
  assert len(found["plots"]) > 30
  assert all(200 < plot <= min(width, 860) for plot in found["plots"])
  auroc = [float(value) for value in found["sorted"]]
  assert len(auroc) == 4 and auroc == sorted(auroc, reverse=True)
  pixels = image.imread(picture)[..., :3]
  paper = pixels[-1, 2].mean()
  assert paper < 0.2 if is_dark else paper > 0.9
  ink = max(abs(int(part) / 255 - paper) for part in re.findall(r"\d+", found["ink"])[:3])
  assert ink > 0.5
  assert (abs(pixels.mean(axis=2) - paper) > 0.3).mean() > 0.01
