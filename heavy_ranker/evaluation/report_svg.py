"""Figures of matplotlib as SVG for inside a page: the page's colours and fonts, the same bytes.

Matplotlib writes a document of its own, with a date, identifiers and fonts of its own. What stands
here turns it into a part of a page that may hold hundreds of them. Text drawn in `INK` takes the
colour of the page's text, so that a figure is readable on a light and on a dark page.
"""

import io
import re

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from heavy_ranker.evaluation.report_html import escape

INK = "#010203"  # a colour that nothing else has: it becomes the page's text colour
# Okabe and Ito's colours for the colour-blind, at a lightness between white and black paper.
COLORS = ("#2b84c6", "#d9770b", "#12966b", "#b867a0", "#a88c14", "#3aa3b5", "#c8553d")
MUTED = "#8a8f98"

_STYLE = {
  "svg.fonttype": "none",
  "svg.hashsalt": "heavy_ranker",
  "font.size": 8,
  "text.color": INK,
  "axes.edgecolor": MUTED,
  "axes.labelcolor": INK,
  "axes.linewidth": 0.6,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.grid": True,
  "axes.axisbelow": True,
  "axes.unicode_minus": True,
  "grid.color": MUTED,
  "grid.alpha": 0.25,
  "grid.linewidth": 0.5,
  "xtick.color": MUTED,
  "ytick.color": MUTED,
  "xtick.labelcolor": INK,
  "ytick.labelcolor": INK,
  "xtick.major.size": 2.5,
  "ytick.major.size": 2.5,
  "xtick.minor.visible": False,
  "ytick.minor.visible": False,
  "lines.linewidth": 1.5,
  "lines.solid_capstyle": "round",
}
_IDENTIFIER = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(?:url\(#|href="#)([^")]+)')
_GEOMETRY = re.compile(r'\b(?:d|x|y|x1|x2|y1|y2|points|transform|width|height)="[^"]*"')
_LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")


def style() -> "matplotlib.rc_context":
  """Returns a context in which figures have the report's style, whatever the user's own is."""
  defaults = {
    name: value
    for name, value in matplotlib.rcParamsDefault.items()
    if not name.startswith(("backend", "toolbar", "interactive", "date.epoch", "webagg"))
  }
  return matplotlib.rc_context({**defaults, **_STYLE})


def to_svg(figure: Figure, identifier: str, label: str) -> str:
  """Returns a figure as an <svg> element as wide as what it stands in.

  Args:
    figure: made inside `style()`, and turned into SVG inside it too.
    identifier: unique in the page; begins what the figure names inside itself.
    label: what the figure shows, for those who cannot see it.
  """
  buffer = io.StringIO()
  FigureCanvasSVG(figure)
  figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
  text = buffer.getvalue()
  text = text[text.index("<svg") :]
  for unwanted in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
    text = re.sub(unwanted, "", text, flags=re.DOTALL)
  view_box = re.search(r'viewBox="[^"]*"', text)[0]
  text = re.sub(
    r"<svg[^>]*>",
    f'<svg class="plot" role="img" aria-label="{escape(label)}" {view_box}>',
    text,
    count=1,
  )
  text = text.replace("xlink:href", "href").replace(INK, "currentColor")
  text = re.sub(r"font: (\S+) 'DejaVu Sans'[^;\"]*", r"font-size: \1", text)
  text = _with_identifiers(text, identifier)
  text = _GEOMETRY.sub(lambda match: _LONG_NUMBER.sub(r"\1", match[0]), text)
  return re.sub(r"\s*\n\s*", "\n", text).strip()


def _with_identifiers(text: str, prefix: str) -> str:
  """Drops identifiers that nothing refers to and makes the others the figure's own."""
  used = set(_REFERENCE.findall(text))
  names = {name: f"{prefix}-{position}" for position, name in enumerate(sorted(used))}
  text = _IDENTIFIER.sub(lambda match: f'id="{names[match[1]]}"' if match[1] in used else "", text)
  return _REFERENCE.sub(lambda match: match[0].replace(match[1], names[match[1]]), text)
