"""Tests of `tools.features_document` and of the feature lists that it renders."""

import re
from pathlib import Path

import pytest

from tools import features_document

BAZEL_DATA = ["//:FEATURES.md", "//configs:all"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="facts")
def fixture_facts():
  return features_document.read_facts(ROOT)


@pytest.fixture(scope="module", name="groups")
def fixture_groups(facts):
  return facts[0]


@pytest.fixture(scope="module", name="names")
def fixture_names(groups):
  return features_document.feature_names(groups)


@pytest.fixture(scope="module", name="document")
def fixture_document(facts):
  return features_document.render(*facts)


def _aggregate_rows(groups):
  return [row for group in groups["aggregate_groups"] for row in group["rows"]]


def _readings(name, rows, naming):
  """Every way to read `name` as an aggregate of one of `rows`, found from the text alone."""
  found = []
  for row in rows:
    group = features_document.row_group(row, naming)
    for scope in row["engagement_scopes"]:
      start = f"{group}.{scope}."
      if not name.startswith(start):
        continue
      for spec in row["aggregation_specs"]:
        feature = name[len(start) : -len(spec) - 1]
        if name.endswith(f".{spec}") and feature in row["features_to_aggregate"]:
          found.append(features_document.AggregateName(group, scope, feature, spec))
  return found


def test_document_is_up_to_date(document):
  problem = features_document.check(ROOT / features_document.DOCUMENT, document)
  assert problem is None, problem


def test_number_of_groups_and_names(groups, names):
  naming = groups["naming"]

  def count(key):
    return sum(len(features_document.group_names(group, naming)) for group in groups[key])

  assert len(groups["aggregate_groups"]) == 13
  assert len(groups["non_aggregate_groups"]) == 10
  assert len(groups["embedding_groups"]) == 2
  assert count("aggregate_groups") == 4227
  assert count("non_aggregate_groups") == 1352
  assert len(names) == len(set(names)) == 5579


def test_stated_sizes_are_those_of_the_lists(groups):
  naming = groups["naming"]
  for group in groups["aggregate_groups"] + groups["non_aggregate_groups"]:
    names = features_document.group_names(group, naming)
    assert group["num_features"] == len(names), group["group"]
  for row in _aggregate_rows(groups):
    assert row["num_features"] == len(features_document.aggregate_names(row, naming))
  for group in groups["embedding_groups"]:
    assert group["num_embeddings"] == len(group["vectors"])


def test_stated_totals_are_those_of_the_lists(groups, names):
  rows = _aggregate_rows(groups)

  def distinct(key):
    return len({part for row in rows for part in row[key]})

  vectors = [(group["num_embeddings"], group["dim"]) for group in groups["embedding_groups"]]
  assert groups["totals"] == {
    "aggregate_groups": 13,
    "aggregate_rows": len(rows),
    "aggregate_features": 4227,
    "non_aggregate_groups": 10,
    "non_aggregate_features": 1352,
    "embedding_groups": 2,
    "embeddings": sum(number for number, _ in vectors),
    "embedding_dims": sum(number * length for number, length in vectors),
    "features_excluding_embeddings": len(names),
    "distinct_generated_names": len(set(names)),
    "distinct_engagement_scopes": distinct("engagement_scopes"),
    "distinct_features_to_aggregate": distinct("features_to_aggregate"),
    "distinct_aggregation_specs": distinct("aggregation_specs"),
  }


def test_example_follows_the_template_and_is_listed(groups, names):
  example = groups["naming"]["example"]
  parts = {part: example[part] for part in features_document.AggregateName._fields}
  template = groups["naming"]["aggregate_template"]
  assert template.format(**parts) == example["name"]
  # The listing has another name for the group, the other three parts are the same.
  parts["group"] = "user_v2"
  assert template.format(**parts) == example["listed_as"]
  assert example["listed_as"] in names


@pytest.mark.parametrize(
  "name",
  [
    "user[real_time].timelines.enagagement.is_retweeted_without_quote.any_feature.30.minutes.count",
    "user_engager.recap.engagement.is_favorited.any_feature.50.days.count.sparse_top1",
    "tweet[real_time dwell].timelines.engagement.is_profile_dwelled.any_feature.1.days.count",
    "two_hop.favorite.favorited_by.normalized",
    "two_hop.favorited_by.right_degree",
    "realgraph.src_id",
    "realgraph.weight.ewma.sparse_avg",
    "authors.realgraph.weight.sparse_max",
    "recap.tweetfeature.unidirectiona_fav_count",
    "time_features.tweet_age_ratio",
  ],
)
def test_names_of_every_kind_are_listed(names, name):
  assert name in names


def test_an_aggregate_name_has_exactly_one_reading(groups):
  rows = _aggregate_rows(groups)
  naming = groups["naming"]
  for row in rows:
    for parts in features_document.aggregate_names(row, naming):
      name = naming["aggregate_template"].format(**parts._asdict())
      assert _readings(name, rows, naming) == [parts]


def test_cross_names_leave_out_empty_segments_and_repeats():
  row = {"segments": [["a"], [], ["b", "b", "c"], ["d", "e"]]}
  assert features_document.cross_names(row) == ["a.b.d", "a.b.e", "a.c.d", "a.c.e"]


def test_every_typed_name_is_a_feature_or_part_of_an_aggregate(facts, names):
  groups, types = facts
  rows = _aggregate_rows(groups)
  parts = {part for row in rows for part in row["engagement_scopes"] + row["features_to_aggregate"]}
  assert set(types["types"]) <= set(names) | parts
  assert len(types["types"]) == types["counts"]["found"]
  assert set(types["types"].values()) == set(types["counts"]["by_type"])
  for kind, number in types["counts"]["by_type"].items():
    assert sum(known == kind for known in types["types"].values()) == number


def test_the_document_shows_every_group_and_every_listed_name(groups, document):
  for key in ("aggregate_groups", "non_aggregate_groups", "embedding_groups"):
    for group in groups[key]:
      assert f"\n### `{group['group']}`\n" in document
      for name in group.get("features", ()):
        assert f"| `{name}` |" in document


def test_links_within_the_document_lead_to_headings(document):
  lines = document.split("\n")
  headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
  anchors = {features_document.anchor(heading) for heading in headings}
  assert set(re.findall(r"\]\(#([^)]*)\)", document)) <= anchors


def test_folded_lists_and_fences_are_closed(document):
  lines = document.split("\n")
  assert lines.count("<details>") == lines.count("</details>") > 0
  assert lines.count("```text") == lines.count("```") > 0


def test_check_names_the_first_line_that_differs(tmp_path):
  path = tmp_path / "FEATURES.md"
  path.write_text("one\ntwo\n", encoding="utf-8")
  assert features_document.check(path, "one\ntwo\n") is None
  problem = features_document.check(path, "one\n2\n")
  assert "line 2" in problem
  assert features_document.COMMAND in problem


def test_check_of_a_missing_file_says_how_to_write_it(tmp_path):
  problem = features_document.check(tmp_path / "FEATURES.md", "one\n")
  assert "does not exist" in problem
  assert features_document.COMMAND in problem


def test_an_operator_without_a_description_is_refused():
  groups, types = features_document.read_facts(ROOT)
  groups["aggregate_groups"][0]["rows"][0]["aggregation_specs"].append("50.days.median")
  with pytest.raises(ValueError, match="median"):
    features_document.render(groups, types)
