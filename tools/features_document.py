"""Renders FEATURES.md from the feature lists under configs/home_recap_2022/features.

`python -m tools.features_document` writes the file. With `--check` it writes nothing, and exits
with 1 if the file is out of date.
"""

import collections
import itertools
import os
import re
import string
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml
from absl import app, flags

Facts = dict[str, Any]

DOCUMENT = "FEATURES.md"
FEATURES_DIR = "configs/home_recap_2022/features"
COMMAND = "python -m tools.features_document"

# Folding a shorter list away would cost more lines than it saves.
_MAX_INLINE = 5
_MAX_OPEN_TABLE = 15

# Beyond it a group is described by the parts of its names instead of name by name.
_MAX_TABLE = 100

_OPERATORS = {
  "count": "number of records in which the feature is present (for a binary feature: true)",
  "sum": "sum of the feature's values",
  "sumsq": "sum of the squares of the feature's values",
  "count.sparse_sum": "several keys at once: sum of their counts",
  "count.sparse_nonzero": "several keys at once: how many have a count above 0",
  "count.sparse_mean": "several keys at once: mean of the counts above 0",
  "count.sparse_top1": "several keys at once: largest count",
  "count.sparse_top2": "several keys at once: second largest count",
}


class AggregateName(NamedTuple):
  """The four parts of an aggregate's name, in the order in which they are written."""

  group: str
  engagement_scope: str
  feature_to_aggregate: str
  aggregation_spec: str


def read_facts(root: Path) -> tuple[Facts, Facts]:
  """Reads the feature groups and the feature types of the repository at `root`."""
  folder = root / FEATURES_DIR
  loaded = []
  for name in ("feature_groups.yaml", "feature_types.yaml"):
    with open(folder / name, encoding="utf-8") as file:
      loaded.append(yaml.safe_load(file))
  return loaded[0], loaded[1]


def row_group(row: Facts, naming: Facts) -> str:
  """The group part of an aggregate row's names: its scope and, if it has one, the qualifier."""
  if row["qualifier"] is None:
    return row["scope"]
  return naming["group_template"].format(scope=row["scope"], qualifier=row["qualifier"])


def aggregate_names(row: Facts, naming: Facts) -> list[AggregateName]:
  """The Cartesian product that one aggregate row stands for, each name in its four parts."""
  product = itertools.product(
    [row_group(row, naming)],
    row["engagement_scopes"],
    row["features_to_aggregate"],
    row["aggregation_specs"],
  )
  return [AggregateName(*parts) for parts in product]


def cross_names(row: Facts) -> list[str]:
  """The names of one row of crossed segments; an empty segment adds nothing, a repeat no name."""
  product = itertools.product(*(segment for segment in row["segments"] if segment))
  return list(dict.fromkeys(".".join(parts) for parts in product))


def group_names(group: Facts, naming: Facts) -> list[str]:
  """The names of all features of one group, aggregate or not, in the order of the listing."""
  if "features" in group:
    return list(group["features"])
  if group.get("kind") == "cross":
    return [name for row in group["rows"] for name in cross_names(row)]
  template = naming["aggregate_template"]
  rows = (aggregate_names(row, naming) for row in group["rows"])
  return [template.format(**name._asdict()) for names in rows for name in names]


def feature_names(groups: Facts) -> list[str]:
  """The names of all features but the embeddings, in the order of the listing."""
  listed = groups["aggregate_groups"] + groups["non_aggregate_groups"]
  return [name for group in listed for name in group_names(group, groups["naming"])]


def render(groups: Facts, types: Facts) -> str:
  """Renders the whole document.

  Args:
    groups: what feature_groups.yaml holds.
    types: what feature_types.yaml holds.

  Returns:
    The text of FEATURES.md, ending in a newline.
  """
  sections = itertools.chain(
    _introduction(groups),
    _record(groups),
    _naming(groups),
    _overview(groups),
    _aggregates(groups, types["types"]),
    _others(groups, types),
    _embeddings(groups),
    _totals(groups, types["types"]),
  )
  return "\n\n".join(sections) + "\n"


def anchor(heading: str) -> str:
  """The anchor that GitHub gives to a heading."""
  return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def first_difference(old: str, new: str) -> Optional[int]:
  """The number of the first line in which two texts differ, or None if they are equal."""
  if old == new:
    return None
  lines = itertools.zip_longest(old.split("\n"), new.split("\n"))
  return next(number for number, (a, b) in enumerate(lines, start=1) if a != b)


def check(path: Path, text: str) -> Optional[str]:
  """Says what is wrong with the file at `path` if it is to hold `text`, or None if nothing is."""
  if not path.is_file():
    return f"{path} does not exist. Write it with: {COMMAND}"
  line = first_difference(path.read_text(encoding="utf-8"), text)
  if line is None:
    return None
  return f"{path} is out of date, from line {line} on. Write it anew with: {COMMAND}"


# The document's sections, in their order.


def _introduction(groups: Facts) -> Iterable[str]:
  source = groups["source"]
  yield "# Features"
  yield (f"<!-- Generated from {FEATURES_DIR}/*.yaml by `{COMMAND}`; edit those files instead. -->")
  yield (
    "What a record tells the ranker about one viewer, one candidate Tweet, the Tweet's author and "
    "the request, group by group."
  )
  yield (
    f"The names are those published in [{source['repo']}](https://github.com/{source['repo']}) "
    f"(`{source['file']}`), letter for letter. That includes misspellings such as "
    "`timelines.enagagement` and `unidirectiona_fav_count`, which the public serving code has too, "
    "though a revision of the listing corrects some of them. The descriptions are this project's."
  )
  yield (
    f"This file is generated: `{COMMAND}` renders it from the YAML files in "
    f"[`{FEATURES_DIR}`]({FEATURES_DIR}), and `{COMMAND} --check` fails if it no longer matches "
    "them."
  )


def _record(groups: Facts) -> Iterable[str]:
  dense = groups["record"]["dense_vectors"]
  used = {vector["input"]: vector["used_in_production"] for vector in dense}
  total = groups["totals"]["features_excluding_embeddings"]
  yield "## Where they sit in the record"
  yield (
    "A record does not store features by name. It holds three dense vectors and, one feature each, "
    f"{groups['totals']['embeddings']} [embeddings](#embeddings):"
  )
  yield _table(
    ["feature of the record", "input of the model", "length", "used in production"],
    [[_code(v["name"]), _code(v["input"]), v["length"], _used(v)] for v in dense]
    + [[_code(v["name"]), _code(v["input"]), v["dim"], "all"] for v in _vectors(groups)],
  )
  yield (
    "**Which name stands at which position of a dense vector is not published.** It cannot be "
    f"derived from the lists below either: they hold {total:,} names, and production uses "
    f"{used['continuous']:,} + {used['binary']:,} = {sum(used.values()):,} positions. The lists "
    "tell what kinds of things the vectors describe, not what a given column means."
  )


def _naming(groups: Facts) -> Iterable[str]:
  naming = groups["naming"]
  yield "## How an aggregate's name is built"
  yield (
    "Most features are aggregates: counts and sums over the past, kept up to date for every value "
    "of a key such as the viewer, or the viewer together with the author. A name has four parts:"
  )
  yield _fence([naming["aggregate_template"]])
  yield _name_parts(naming)
  yield "Put together, the example is"
  yield _fence([naming["example"]["name"]])
  yield (
    "that is, for each viewer, over the records that this viewer liked, the number of those in "
    "which the in-network reply count is present."
  )
  yield (
    "The published listing shortens the group part and adds variants in parentheses; here a "
    f"variant follows in brackets, `{naming['group_template']}`. Names below therefore identify "
    "a feature without always being the production name: the example's counterpart is"
  )
  yield _fence([naming["example"]["listed_as"]])
  yield from _specs(groups)


def _name_parts(naming: Facts) -> str:
  everything, record = _code(naming["no_engagement_filter"]), _code(naming["count_marker"])
  meanings = {
    "group": "the key; a record gets the values kept for its own key",
    "engagement_scope": (
      f"the past records that enter: those with this engagement, or all with {everything}"
    ),
    "feature_to_aggregate": f"the value collected; {record} stands for the record itself",
    "aggregation_spec": "the span of time, and the operator",
  }
  return _table(
    ["part", "what it fixes", "in the example"],
    [
      [part.replace("_", " "), meaning, _code(naming["example"][part])]
      for part, meaning in meanings.items()
    ],
  )


def _specs(groups: Facts) -> Iterable[str]:
  naming = groups["naming"]
  rows = _aggregate_rows(groups)
  spans, operators = _spans_and_operators(rows)
  known = [naming["long_window"]] + naming["short_windows"]
  short = _code_list(span for span in known[1:] if span in spans)
  unbounded = _code_list(span for span in spans if span not in known)
  yield (
    f"**Spans.** Long-window rows use {_code(naming['long_window'])}; real-time rows use {short} "
    f"or {unbounded}, which is unbounded. The listing calls them windows; in the public "
    "[aggregation framework](https://github.com/twitter/the-algorithm/tree/main/timelines/"
    "data_processing/ml_util/aggregation_framework) a span is a half-life: an observation of that "
    "age counts half, and none drops out all at once."
  )
  yield "**Operators.** Sparse operators serve keys of which one Tweet has several, such as topics."
  yield _table(["operator", "value"], [[_code(o), _OPERATORS[o]] for o in operators])
  yield (
    "Every row of a group below is a full product, counted as engagement scopes × features to "
    "aggregate × aggregation specs. The framework forms sums of continuous features only, so the "
    "listed sum of a binary feature need not exist anywhere."
  )


def _overview(groups: Facts) -> Iterable[str]:
  yield "## Overview"
  rows = []
  for group in groups["aggregate_groups"]:
    rows.append(_overview_row(group, f"{group['num_features']:,}", _windows(group)))
  for group in groups["non_aggregate_groups"]:
    rows.append(_overview_row(group, f"{group['num_features']:,}", "–"))
  for group in groups["embedding_groups"]:
    rows.append(_overview_row(group, f"{group['num_embeddings']} × {group['dim']}", "–"))
  yield _table(["group", "what it describes", "features", "window"], rows)


def _aggregates(groups: Facts, types: Facts) -> Iterable[str]:
  yield f"## Aggregate groups ({groups['totals']['aggregate_features']:,} features)"
  yield from _only_aggregated(groups, types)
  for group in groups["aggregate_groups"]:
    yield _heading(group)
    yield f"{_quantity(group['num_features'], 'feature')}. {group['description']}"
    for row in group["rows"]:
      yield from _aggregate_row(row, groups["naming"])


def _aggregate_row(row: Facts, naming: Facts) -> Iterable[str]:
  lists = {
    "engagement scopes": row["engagement_scopes"],
    "features to aggregate": row["features_to_aggregate"],
    "aggregation specs": row["aggregation_specs"],
  }
  window = "real time" if row["real_time"] else "long window"
  sizes = " × ".join(str(len(names)) for names in lists.values())
  size = _quantity(row["num_features"], "feature")
  yield f"**{_code(row_group(row, naming))}**, {window}: {sizes} = {size}.{_remarks(row)}"
  yield from _lists(lists)


def _only_aggregated(groups: Facts, types: Facts) -> Iterable[str]:
  aggregated = itertools.chain(*(row["features_to_aggregate"] for row in _aggregate_rows(groups)))
  known = set(feature_names(groups)) | {groups["naming"]["count_marker"]}
  names = sorted(set(aggregated) - known)
  yield (
    "Nearly all features to aggregate are themselves listed, with their types, under "
    f"[other groups](#{anchor(_others_title(groups))}). These {len(names)} occur in aggregates "
    "only:"
  )
  yield _typed_table(names, types)


def _others(groups: Facts, types: Facts) -> Iterable[str]:
  source = types["source"]
  yield f"## {_others_title(groups)}"
  yield (
    f"The type is the one declared in [{source['repo']}](https://github.com/{source['repo']}) at "
    f"commit `{source['commit'][:12]}` under exactly that name; `in_reply_to_tweet.*` takes the "
    "type of the name without the prefix, as the code there does. A dash means that no such "
    "declaration was found, as for names which that code puts together at run time. The record "
    "has no vector for text; how text features enter it, if they do, is not published."
  )
  for group in groups["non_aggregate_groups"]:
    yield _heading(group)
    yield f"{_quantity(group['num_features'], 'feature')}. {group['description']}"
    yield from _other_group(group, groups["naming"], types["types"])


def _other_group(group: Facts, naming: Facts, types: Facts) -> Iterable[str]:
  names = group_names(group, naming)
  for row in group.get("rows", ()):
    yield from _cross_row(row)
  if len(names) > _MAX_TABLE:
    yield _types_by_ending(names, types)
    return
  table = _typed_table(names, types)
  folded = len(names) > _MAX_OPEN_TABLE
  yield _details(f"{len(names)} features", table) if folded else table


def _cross_row(row: Facts) -> Iterable[str]:
  segments = [list(dict.fromkeys(segment)) for segment in row["segments"] if segment]
  letters = iter(string.ascii_lowercase)
  choices = {f"{{{next(letters)}}}": segment for segment in segments if len(segment) > 1}
  places = iter(choices)
  pattern = ".".join(next(places) if len(segment) > 1 else segment[0] for segment in segments)
  sizes = " × ".join(str(len(segment)) for segment in choices.values())
  product = sizes if len(choices) == 1 else f"{sizes} = {row['num_distinct']:,}"
  repeats = sorted({p for s in row["segments"] for p in s if s.count(p) > 1})
  remark = f" The listing repeats {_code_list(repeats)}; it counts once here." if repeats else ""
  yield f"**{_code(pattern)}**: {product} features.{remark}"
  yield from _lists(choices)


def _embeddings(groups: Facts) -> Iterable[str]:
  yield "## Embeddings"
  yield (
    "Ready-made vectors from [TwHIN](https://arxiv.org/abs/2202.05387), a graph embedding of users "
    "and Tweets. Each is a feature of the record in its own right, and the model normalizes each "
    "by itself."
  )
  for group in groups["embedding_groups"]:
    yield _heading(group)
    yield group["description"]
    yield _table(
      ["feature of the record", "input of the model", "whose", "length"],
      [[_code(v["name"]), _code(v["input"]), v["whose"], group["dim"]] for v in group["vectors"]],
    )


def _totals(groups: Facts, types: Facts) -> Iterable[str]:
  totals = groups["totals"]
  names = feature_names(groups)
  yield "## Totals"
  yield _table(
    ["", "groups", "features"],
    [
      ["aggregates", totals["aggregate_groups"], f"{totals['aggregate_features']:,}"],
      ["others", totals["non_aggregate_groups"], f"{totals['non_aggregate_features']:,}"],
      ["together", totals["aggregate_groups"] + totals["non_aggregate_groups"], f"{len(names):,}"],
      ["embeddings", totals["embedding_groups"], _embedding_size(groups)],
    ],
  )
  others = [n for g in groups["non_aggregate_groups"] for n in group_names(g, groups["naming"])]
  yield (
    f"The {len(set(names)):,} names are all distinct. The aggregates' "
    f"{totals['aggregate_rows']} rows combine {totals['distinct_engagement_scopes']} engagement "
    f"scopes, {totals['distinct_features_to_aggregate']} features to aggregate and "
    f"{totals['distinct_aggregation_specs']} aggregation specs. Of the {len(others):,} other "
    f"features, {_type_counts(others, types)}."
  )


# What the sections are made of.


def _aggregate_rows(groups: Facts) -> list[Facts]:
  return [row for group in groups["aggregate_groups"] for row in group["rows"]]


def _vectors(groups: Facts) -> list[Facts]:
  embedding_groups = groups["embedding_groups"]
  return [dict(v, dim=group["dim"]) for group in embedding_groups for v in group["vectors"]]


def _embedding_size(groups: Facts) -> str:
  lengths = [vector["dim"] for vector in _vectors(groups)]
  return f"{len(lengths)} vectors, {sum(lengths):,} numbers"


def _others_title(groups: Facts) -> str:
  return f"Other groups ({groups['totals']['non_aggregate_features']:,} features)"


def _spans_and_operators(rows: Sequence[Facts]) -> tuple[list[str], list[str]]:
  specs = {spec for row in rows for spec in row["aggregation_specs"]}
  pairs = [re.fullmatch(r"(\w+\.\w+)\.(.+)", spec).groups() for spec in sorted(specs)]
  spans = sorted({span for span, _ in pairs})
  operators = {operator for _, operator in pairs}
  unexplained = sorted(operators - set(_OPERATORS))
  if unexplained:
    raise ValueError(f"No description for the aggregation operators {unexplained}: add them.")
  return spans, [operator for operator in _OPERATORS if operator in operators]


def _windows(group: Facts) -> str:
  kinds = {row["real_time"] for row in group["rows"]}
  return " and ".join(
    text for real_time, text in ((False, "long"), (True, "real time")) if real_time in kinds
  )


def _used(vector: Facts) -> str:
  used = vector["used_in_production"]
  return f"the first {used:,}" if used else "none"


def _overview_row(group: Facts, size: str, window: str) -> list[str]:
  link = f"[{_code(group['group'])}](#{anchor(group['group'])})"
  return [link, group["description"], size, window]


def _remarks(row: Facts) -> str:
  remarks = ""
  if "keys" in row:
    remarks += f" Keyed by {' and '.join(row['keys'])}."
  if row.get("separate_source_dataset"):
    remarks += " Computed from another data set than the rows without this remark."
  return remarks


def _type_counts(names: Sequence[str], types: Facts) -> str:
  counts = collections.Counter(types.get(name) for name in names)
  known = [f"{counts[kind]:,} are {kind}" for kind in sorted(k for k in counts if k)]
  return ", ".join(known) + f", and for {counts[None]:,} no type was found"


def _types_by_ending(names: Sequence[str], types: Facts) -> str:
  kinds = sorted({types[name] for name in names if name in types})
  if not kinds:
    return "No type was found for any of them."
  rows = []
  for kind in kinds:
    typed = [name for name in names if types.get(name) == kind]
    endings = dict.fromkeys(name.rsplit(".", 1)[1] for name in typed)
    rows.append([kind, len(typed), _code_list(endings)])
  rows.append(["–", sum(name not in types for name in names), "those not counted above"])
  return _table(["type", "features", "last part of the name"], rows)


# Markdown.


def _code(text: str) -> str:
  return f"`{text}`"


def _code_list(names: Iterable[str]) -> str:
  return ", ".join(_code(name) for name in names)


def _quantity(number: int, noun: str) -> str:
  return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _heading(group: Facts) -> str:
  return f"### {_code(group['group'])}"


def _fence(lines: Iterable[str]) -> str:
  return "\n".join(["```text", *lines, "```"])


def _details(summary: str, body: str) -> str:
  return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def _lists(lists: dict[str, Sequence[str]]) -> Iterable[str]:
  """Lists by label: the short ones as bullets, then the long ones folded away."""
  short = {label: names for label, names in lists.items() if len(names) <= _MAX_INLINE}
  if short:
    yield "\n".join(f"- {label}: {_code_list(names)}" for label, names in short.items())
  for label, names in lists.items():
    if label not in short:
      yield _details(f"{label} ({len(names)})", _fence(names))


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _typed_table(names: Sequence[str], types: Facts) -> str:
  return _table(["feature", "type"], [[_code(name), types.get(name, "–")] for name in names])


def _root() -> Path:
  # `bazel run` starts a program in its runfiles and names the source tree here.
  workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
  return Path(workspace) if workspace else Path(__file__).resolve().parents[1]


def main(argv: Sequence[str]) -> None:
  """Writes FEATURES.md, or with --check compares it."""
  if len(argv) > 1:
    raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
  root = _root()
  path = root / DOCUMENT
  text = render(*read_facts(root))
  if flags.FLAGS.check:
    problem = check(path, text)
    if problem:
      sys.exit(problem)
    return
  path.write_bytes(text.encode("utf-8"))
  print(f"Wrote {path}")


if __name__ == "__main__":
  # Not at import: flags share one namespace, and tests import several commands that have a --check.
  flags.DEFINE_bool("check", False, f"Only compare: exit with 1 if {DOCUMENT} is out of date.")
  app.run(main)
