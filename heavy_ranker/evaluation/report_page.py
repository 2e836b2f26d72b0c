"""The frame of the report's page: its style and what surrounds the sections.

The page is one file that loads nothing: its own security policy forbids it. Without JavaScript it
lacks only the sorting of tables.
"""

import string
from collections.abc import Sequence
from typing import NamedTuple

from heavy_ranker.evaluation.report_html import escape


class Section(NamedTuple):
  """A part of the page with an entry in the table of contents.

  Attributes:
    anchor: its identifier in the page.
    title: plain text.
    html: its content.
    parts: anchor and plain title of its parts.
  """

  anchor: str
  title: str
  html: str
  parts: Sequence[tuple[str, str]] = ()


def page(title: str, header: str, sections: Sequence[Section]) -> str:
  """Returns the page; sections without content are left out.

  Args:
    title: plain text.
    header: HTML that stands above the sections.
    sections: in order.
  """
  shown = [section for section in sections if section.html]
  return _PAGE.substitute(
    title=escape(title),
    header=header,
    contents="".join(map(_entry, shown)),
    sections="\n".join(
      f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>\n{section.html}</section>'
      for section in shown
    ),
    style=_STYLE,
    script=_SCRIPT,
  )


def _entry(section: Section) -> str:
  parts = "".join(
    f'<li><a href="#{anchor}" title="{escape(title)}">{escape(title)}</a></li>'
    for anchor, title in section.parts
  )
  nested = f"<ol>{parts}</ol>" if parts else ""
  return f'<li><a href="#{section.anchor}">{escape(section.title)}</a>{nested}</li>'


_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<nav aria-label="Contents"><ol>$contents</ol></nav>
<main>
<header>
<h1>$title</h1>
$header
</header>
$sections
</main>
<script>
$script</script>
</body>
</html>
""")

_STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f5f6f8; --ink: #1d2129; --muted: #656d79; --line: #dfe3e8;
  --link: #1f6cab; --good: #0d7a55; --bad: #b5500a; --accent: #2b84c6; --warm: #d9770b;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --ground: #1c2027; --ink: #dfe3e8; --muted: #98a1ad; --line: #313742;
    --link: #6cb4ea; --good: #46c79b; --bad: #ef9d4d;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
main { width: 100%; max-width: 1320px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; min-width: 0; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line);  overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; overflow-wrap: anywhere; }
h4 { font-size: .9rem; font-weight: 600; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
p { max-width: 48rem; margin: .5rem 0; }
.hint, figcaption, .notes, .footnotes, small, dt { color: var(--muted); }
.hint { font-size: .87rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem 1rem;
  margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { padding: .5rem 1.25rem; font-size: .87rem; background: var(--ground);
  border-bottom: 1px solid var(--line); }
nav ol { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .1rem 1rem; }
nav ol ol { display: none; }
nav a { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; display: block;
  max-width: 100%; }
@media screen and (min-width: 1200px) {
  body { display: grid; grid-template-columns: 15rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1.25rem;
    border: 0; border-right: 1px solid var(--line); }
  nav ol { display: block; }
  nav li { margin: .2rem 0; min-width: 0; }
  nav ol ol { display: block; padding-left: .8rem; font-size: .93em; }
  nav ol ol a { color: var(--muted); }
}
.scroll { overflow-x: auto; margin: .75rem 0; border: 1px solid var(--line); border-radius: 6px;
  max-width: max-content; }
table { border-collapse: separate; border-spacing: 0; font-size: .87rem; }
th, td { padding: .3rem .55rem; text-align: right; vertical-align: top; }
tbody th, tbody td { border-top: 1px solid var(--line); }
thead th { background: var(--ground); font-weight: 600; vertical-align: bottom; min-width: 4.5rem;
  max-width: 9.5rem; line-height: 1.3; }
details { margin: .5rem 0; font-size: .87rem; }
summary { cursor: pointer; color: var(--muted); }
details dl { margin: .5rem 0 0 1rem; }
th:first-child { position: sticky; left: 0; z-index: 1; text-align: left; background: var(--paper);
  border-right: 1px solid var(--line); min-width: min(14rem, 36vw); max-width: min(20rem, 42vw);
  overflow-wrap: anywhere; }
thead th:first-child { background: var(--ground); }
thead th:has(wbr) { min-width: 8rem; }
tbody th { font-weight: 400; }
.group th, .group td { background: var(--ground); }
.group th { font-weight: 600; }
tbody tr:not(.group):hover > * { background: var(--ground); }
td { white-space: nowrap; }
td small { display: block; font-size: .78rem; }
td.prose { white-space: normal; text-align: left; min-width: 14rem; }
.better { color: var(--good); }
.worse, .unusual { color: var(--bad); }
.unusual small { color: var(--muted); }
.none { color: var(--muted); }
abbr { text-decoration: none; cursor: help; }
sup { font-size: .7em; line-height: 0; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
.footnotes { font-size: .8rem; margin: .25rem 0 1rem; padding-left: 1.6rem; }
.notes { font-size: .87rem; padding-left: 1.2rem; }
.bars { min-width: 12rem; }
.bar { display: inline-block; position: relative; vertical-align: middle; width: 8rem;
  height: .7rem; background: var(--ground); margin-right: .6rem; }
.bar i { position: absolute; top: 0; bottom: 0; min-width: 1px; background: var(--accent); }
.amount { display: inline-block; min-width: 3.4rem; }
td.heated { padding: 0; }
.heat { display: block; padding: .3rem .7rem; }
.loss { background: color-mix(in srgb, var(--warm) var(--strength), transparent); }
.gain { background: color-mix(in srgb, var(--accent) var(--strength), transparent); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 255px), 1fr));
  gap: .75rem 1.25rem; }
figure { margin: 0; min-width: 0; max-width: 420px; break-inside: avoid; }
figure.wide { max-width: 860px; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }
svg.plot { display: block; width: 100%; height: auto; font-family: inherit; }
svg.plot * { stroke-linejoin: round; stroke-linecap: butt; }
svg.plot text { fill: currentColor; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.25rem; list-style: none; padding: 0;
  margin: .5rem 0; font-size: .87rem; }
.legend svg { width: 1.6rem; height: .6rem; margin-right: .4rem; }
.legend li { overflow-wrap: anywhere; min-width: 0; }
@media print {
  :root { color-scheme: light; }
  body { font-size: 10pt; }
  nav { display: none; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; border: 0; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .35rem; }
  th:first-child { position: static; }
  thead th { min-width: 0; }
  tr, figure { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  .grid { grid-template-columns: repeat(4, 1fr); }
}
"""

_SCRIPT = """\
for (const heading of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const falls = heading.getAttribute("aria-sort") !== "descending";
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const sign = falls ? -1 : 1, column = heading.cellIndex;
    const compare = (a, b) => {
      const [x, y] = [a.cells[column], b.cells[column]];
      if (column === 0) return -sign * x.textContent.localeCompare(y.textContent);
      const [p, q] = [x, y].map((cell) => cell.dataset.sort);
      if (p === undefined || q === undefined) return (p === undefined) - (q === undefined);
      return sign * (p - q);
    };
    for (const body of heading.closest("table").tBodies) {
      body.append(...[...body.rows].filter((row) => row.className !== "group").sort(compare));
    }
  });
}
"""
