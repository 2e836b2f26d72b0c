"""The embedded server's page in a browser, against canned answers."""

import base64
import gzip
import itertools
import json
import struct
from urllib.parse import quote

import numpy as np
import pytest

from heavy_ranker.config.score import DEFAULT_WEIGHTS, ScoreConfig
from heavy_ranker.scoring import Score
from heavy_ranker.serving.server.page_content import PAGE
from tests.heavy_ranker import layer_helpers
from tests.heavy_ranker.serving.server.browser import BROWSER, NAMES, Browser
from tests.heavy_ranker.serving.server.fake_model_server import (
  SIGNATURES,
  FakeModelServer,
)

BAZEL_SIZE = "large"
BAZEL_DATA = ["//heavy_ranker/serving/server/page:all"]

PUBLISHED = tuple(DEFAULT_WEIGHTS)
REPLY, REPORT = "recap.engagement.is_replied", "recap.engagement.is_report_tweet_clicked"
HOSTILE = """x<img src=x onerror="document.body.id='owned'">'; $(reboot) </script><b>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} on the PATH")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
  browser = Browser(tmp_path_factory.mktemp("browser"))
  yield browser
  browser.close()


@pytest.fixture
def server():
  server = FakeModelServer()
  yield server
  server.close()


def probabilities(candidates=12, tasks=10, seed=0):
  """Rare and frequent engagements, as the ten are."""
  exponents = np.random.default_rng(seed).uniform(-6, 0, size=(candidates, tasks))
  return (10.0**exponents).astype(np.float32)


def recipe(score, tasks):
  """What an export writes into assets.extra/score.json."""
  groups = [[task for task in group if task in tasks] for group in score.only_largest_of]
  return {
    "weights": {task: score.weight_of(task) for task in tasks},
    "only_largest_of": groups,
    "negative_squash_epsilon": score.negative_squash_epsilon,
  }


def scores_of(score, tasks, p):
  return layer_helpers.run(Score(score, list(tasks)), p)


def serve(server, p, tasks=PUBLISHED, score=None):
  """Answers with these probabilities and the score that the model's own layer makes of them."""
  score = score or ScoreConfig()
  server.config = {"models": ["ranker"], "score": recipe(score, tasks)}
  server.answer = {"outputs": outputs(p, tasks, scores_of(score, tasks, p))}


def outputs(p, tasks, scores):
  columns = {task: p[:, column].tolist() for column, task in enumerate(tasks)}
  return {"score": scores.tolist(), "probabilities": p.tolist(), **columns}


def open_page(browser, server, address="", count=None):
  browser.look(1280, 1400)
  browser.open(server.url + address)
  browser.wait_for("document.querySelectorAll('#rows tr').length > 0")
  if count is not None:
    assert browser.evaluate("document.querySelectorAll('#rows tr').length") == count
  assert not browser.errors


def shown_order(browser):
  """Candidates from 0, best first."""
  rows = "[...document.querySelectorAll('#rows tr')].map(row => row.dataset.candidate - 1)"
  return browser.evaluate(rows)


def cells(browser, column):
  return browser.evaluate(
    f"[...document.querySelectorAll('#rows tr')].map(row => row.cells[{column}].textContent)"
  )


def text_of(browser, selector):
  return browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def is_shown(browser, identifier):
  return not browser.evaluate(f"document.getElementById('{identifier}').hidden")


def choose(browser, candidate):
  selector = f"[data-candidate='{candidate + 1}'] button"
  browser.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def number_in(text):
  """The number that a cell shows: 1,234 or = +5.6 or -1.20 x 10^-6 with a raised exponent."""
  text = text.replace("\u2212", "-").replace(",", "").strip("= +")
  if "×" not in text:
    return float(text)
  digits, power = (part.strip() for part in text.split("×"))
  raised = power[2:].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
  return float(digits) * 10.0 ** int(raised)


def weight_box(task):
  return f"[data-term={json.dumps(task)}] input[type=number]"


def ranked(scores):
  return np.argsort(-np.asarray(scores), kind="stable").tolist()


@pytest.mark.parametrize("squash", [None, 0.001])
def test_shows_the_served_ranking_and_what_it_is_made_of(browser, server, squash):
  p, score = probabilities(), ScoreConfig(negative_squash_epsilon=squash)
  serve(server, p, score=score)
  open_page(browser, server, count=12)
  expected = scores_of(score, PUBLISHED, p)
  order = ranked(expected)
  assert shown_order(browser) == order
  shown = [number_in(cell) for cell in cells(browser, 3)]
  np.testing.assert_allclose(shown, expected[order], rtol=1e-3)
  assert set(cells(browser, 1)) == {"·"} and not is_shown(browser, "mismatch")
  assert not is_shown(browser, "notes") and not is_shown(browser, "error")
  sums = scores_of(ScoreConfig(), PUBLISHED, p)
  for candidate in (order[0], order[-1]):
    choose(browser, candidate)
    assert text_of(browser, "#weighing-title") == f"Candidate {candidate + 1}"
    found = browser.evaluate(
      "[...document.querySelectorAll('.contribution')].map(output => output.textContent)"
    )
    assert len(found) == 9  # Two of the ten are one term.
    size = np.abs(p[candidate] * list(DEFAULT_WEIGHTS.values())).sum()
    total = sum(number_in(contribution) for contribution in found)
    assert total == pytest.approx(sums[candidate], abs=1e-3 * size)
    served = number_in(text_of(browser, "dd.served"))
    assert served == pytest.approx(expected[candidate], rel=1e-3)


def test_of_a_group_the_larger_one_counts(browser, server):
  p = np.tile(probabilities(1), (2, 1))
  p[:, 1], p[:, 2] = [0.9, 0.1], [0.2, 0.3]
  serve(server, p)
  open_page(browser, server, count=2)
  marked = (
    "[...document.querySelectorAll('.badge:not([hidden])')]"
    ".map(badge => badge.parentNode.textContent)"
  )
  assert ["favorited_or_replied" in text for text in browser.evaluate(marked)] == [True]
  choose(browser, 1)
  assert ["desc_v2" in text for text in browser.evaluate(marked)] == [True]


def test_another_weight_reorders(browser, server):
  p = probabilities()
  serve(server, p)
  open_page(browser, server, count=12)
  browser.type_into(weight_box(REPLY), "-500")
  weights = ScoreConfig(weights={REPLY: -500.0})
  before = ranked(scores_of(ScoreConfig(), PUBLISHED, p))
  order = ranked(scores_of(weights, PUBLISHED, p))
  assert order != before
  browser.wait_for("document.getElementById('command').innerText.includes('=-500')")
  assert shown_order(browser) == order
  changes = [before.index(candidate) - position for position, candidate in enumerate(order)]
  assert cells(browser, 1) == [
    f"▲{change}" if change > 0 else f"▼{-change}" if change < 0 else "·" for change in changes
  ]
  assert text_of(browser, "#moved") == f"{sum(change != 0 for change in changes)} of 12 moved"
  command = text_of(browser, "#command")
  assert f"--set score.weights.{REPLY}=-500" in command and command.count("--set") == 1
  browser.type_into(weight_box(REPLY), "1e-7")
  browser.wait_for("location.hash.includes('=1e-7')")
  # YAML takes 1e-7 for a text.
  assert f"--set score.weights.{REPLY}=1.0e-7" in text_of(browser, "#command")
  browser.evaluate("document.getElementById('reset').click()")
  assert shown_order(browser) == before and "--set" not in text_of(browser, "#command")
  assert len(server.requests) == 1 and not browser.errors


def test_a_slider_moves_by_the_keyboard(browser, server):
  serve(server, probabilities())
  open_page(browser, server)
  slider = f"[data-term={json.dumps(REPORT)}] input[type=range]"
  browser.focus(slider)
  for _ in range(5):
    browser.press("ArrowRight", 39)
  browser.wait_for("document.getElementById('command').innerText.includes('--set') && !isScheduled")
  weight = browser.evaluate(
    f"document.querySelector({json.dumps(weight_box(REPORT))}).valueAsNumber"
  )
  assert -369 < weight < -330
  assert browser.evaluate("document.activeElement.getAttribute('aria-valuetext')") == f"{weight:g}"


def test_rows_are_chosen_by_the_keyboard_and_keep_the_focus(browser, server):
  serve(server, probabilities())
  open_page(browser, server)
  browser.focus("#rows tr:nth-child(4) button")
  browser.press("Enter", 13)
  chosen = browser.evaluate("document.activeElement.closest('tr').dataset.candidate")
  assert text_of(browser, "#weighing-title") == f"Candidate {chosen}"
  assert browser.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_a_link_shows_the_same_weights_and_list(browser, server):
  p = probabilities(5)
  serve(server, p)
  weights = {REPLY: -500.0, REPORT: 0.0, PUBLISHED[1]: 3.0, PUBLISHED[2]: 3.0}
  address = f"#seed=77&n=5&w.{REPLY}=-500&w.{REPORT}=0&w.{PUBLISHED[1]}=3&w.unknown=1&w.x=y"
  open_page(browser, server, address, count=5)
  expected = scores_of(ScoreConfig(weights=weights), PUBLISHED, p)
  assert shown_order(browser) == ranked(expected)
  assert text_of(browser, "#command").count("--set") == 4
  by_link = server.requests[-1][1]
  assert len(by_link["inputs"]["continuous"]) == 5
  browser.evaluate("document.getElementById('next').click()")
  browser.wait_for("location.hash.includes('seed=78')")
  browser.wait_for("!document.getElementById('status').innerText.includes('scoring')")
  assert f"w.{REPLY}=-500" in browser.evaluate("location.hash")
  assert shown_order(browser) == ranked(expected)
  assert server.requests[-1][1] != by_link


def test_random_candidates_are_of_one_user_and_of_the_inputs_shapes(browser, server):
  serve(server, probabilities())
  rank = {
    "user_embedding": ("DT_FLOAT", [1, 4]),
    "continuous": ("DT_FLOAT", [-1, 2]),
    "author_id": ("DT_INT64", [-1]),
    "k": ("DT_INT32", []),
  }
  server.signatures = {**SIGNATURES, "rank": rank}
  open_page(browser, server)
  path, request = server.requests[-1]
  inputs = request["inputs"]
  assert path == "/v1/models/ranker:predict" and request["signature_name"] == "serving_default"
  shapes = {name: list(np.shape(rows)) for name, rows in inputs.items()}
  expected = SIGNATURES["serving_default"].items()
  assert shapes == {name: [12, shape[1]] for name, (_, shape) in expected}
  assert all(row == inputs["user_embedding"][0] for row in inputs["user_embedding"])
  assert len({tuple(row) for row in inputs["author_embedding"]}) == 12
  assert set(itertools.chain(*inputs["binary"])) <= {0, 1}
  open_page(browser, server)
  assert server.requests[-1][1] == request
  browser.evaluate(
    "document.querySelector('[name=signature]').value = 'rank';"
    "document.querySelector('[name=version]').value = '2';"
    "document.getElementById('generate').requestSubmit()"
  )
  browser.wait_for("!document.getElementById('status').innerText.includes('scoring')")
  path, request = server.requests[-1]
  shapes = {name: list(np.shape(rows)) for name, rows in request["inputs"].items()}
  assert path == "/v1/models/ranker/versions/2:predict" and request["signature_name"] == "rank"
  assert request["inputs"]["k"] == 0
  assert shapes == {"user_embedding": [1, 4], "continuous": [12, 2], "author_id": [12], "k": []}


_RECORDS = [b"first \xff", b"second", b"third \x00"]
_ENCODED = [{"b64": base64.b64encode(record).decode()} for record in _RECORDS]
_OF_EXAMPLES = {"signature_name": "score_examples", "inputs": {"examples": _ENCODED}}
_LINES = "\n".join(entry["b64"] for entry in _ENCODED)
_ROW = {"continuous": [1.5], "binary": [0]}


@pytest.mark.parametrize(
  "text, expected",
  [
    (_LINES, _OF_EXAMPLES),
    (_LINES.replace("+", "-").replace("/", "_").replace("=", ""), _OF_EXAMPLES),
    (json.dumps(_ENCODED), _OF_EXAMPLES),
    (json.dumps([entry["b64"] for entry in _ENCODED]), _OF_EXAMPLES),
    (json.dumps(_OF_EXAMPLES), _OF_EXAMPLES),
    (json.dumps({"inputs": _ROW}), {"signature_name": "serving_default", "inputs": _ROW}),
    (json.dumps(_ROW), {"signature_name": "serving_default", "inputs": _ROW}),
    (json.dumps([_ROW]), {"signature_name": "serving_default", "instances": [_ROW]}),
    (
      json.dumps({"signature_name": "other", "instances": [_ROW]}),
      {"signature_name": "other", "instances": [_ROW]},
    ),
  ],
  ids=["base64", "URL base64", "b64", "strings", "whole", "columns", "bare", "rows", "named"],
)
def test_takes_what_is_pasted(browser, server, text, expected):
  serve(server, probabilities(3))
  open_page(browser, server)
  paste(browser, text)
  browser.wait_for("!document.getElementById('status').innerText.includes('scoring')")
  assert server.requests[-1][1] == expected and len(server.requests) == 2
  assert not is_shown(browser, "error")


def paste(browser, text):
  browser.evaluate("document.getElementById('own').open = true")
  browser.type_into("#text", text)
  browser.evaluate("document.getElementById('send').click()")


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_takes_a_file_of_records(browser, server, tmp_path, compress):
  serve(server, probabilities(2))
  open_page(browser, server, "#n=2")
  framed = [struct.pack("<Q", len(record)) + b"sum." + record + b"sum." for record in _RECORDS]
  path = tmp_path / "part.tfrecord"
  path.write_bytes(compress(b"".join(framed)))
  browser.choose_file("#file", path)
  browser.wait_for("document.getElementById('status').innerText.includes('2 candidates scored')")
  expected = {"signature_name": "score_examples", "inputs": {"examples": _ENCODED[:2]}}
  assert server.requests[-1][1] == expected


@pytest.mark.parametrize(
  "text, message",
  [
    ("", "nothing to score"),
    ('{"inputs": ', "This is no JSON"),
    ("fine====\nno base64!", "Line 2 is neither JSON nor base64: no base64!"),
  ],
)
def test_says_what_is_wrong_with_the_text(browser, server, text, message):
  serve(server, probabilities(3))
  open_page(browser, server)
  paste(browser, text)
  browser.wait_for("!document.getElementById('error').hidden")
  assert message in text_of(browser, "#error") and len(server.requests) == 1
  assert not browser.errors


def test_takes_answers_by_row_with_what_is_no_number(browser, server):
  tasks = ["a", "b"]
  server.config = {"score": {"weights": {"b": 2, "a": -1}}, "models": ["ranker"]}
  server.answer = (
    200,
    (
      '{"predictions": [{"a": [0.5], "b": NaN, "score": NaN}, {"a": 0.25, "b": 0.5, "score": 0.75},'
      '{"a": 0.5, "b": 1, "score": 1.5}]}'
    ),
  )
  open_page(browser, server, count=3)
  assert shown_order(browser) == [2, 1, 0]
  assert [number_in(cell) for cell in cells(browser, 3)[:2]] == [1.5, 0.75]
  assert cells(browser, 3)[2] == "not a number" and not is_shown(browser, "mismatch")
  terms = "[...document.querySelectorAll('[data-term]')].map(term => term.dataset.term)"
  assert browser.evaluate(terms) == tasks[::-1]  # The order of score.json.


def test_probabilities_alone_take_their_names_from_the_recipe(browser, server):
  p = probabilities(4)
  serve(server, p)
  server.answer = {"outputs": {"probabilities": p.tolist(), "order": [0, 1, 2, 3]}}
  open_page(browser, server, count=4)
  assert shown_order(browser) == ranked(scores_of(ScoreConfig(), PUBLISHED, p))
  assert text_of(browser, "dd.served") == "not told"


def test_warns_of_other_weights_than_the_served_ones(browser, server):
  p = probabilities()
  serve(server, p)
  server.answer["outputs"]["score"][3] *= 1.0002
  open_page(browser, server)
  assert "1 of 12" in text_of(browser, "#mismatch")
  server.answer["outputs"]["score"][3] /= 1.00015
  open_page(browser, server)
  assert not is_shown(browser, "mismatch")


def test_without_a_recipe_the_published_weights_are_shown_and_it_says_so(browser, server):
  p = probabilities(tasks=11)
  serve(server, p, (*PUBLISHED, "mine"), ScoreConfig(weights={"mine": 0.0}))
  server.config = None
  open_page(browser, server, "?model=ranker", count=12)
  notes = text_of(browser, "#notes")
  assert "published ones" in notes and "0 to begin with: mine" in notes
  assert not is_shown(browser, "mismatch")


@pytest.mark.parametrize(
  "answer, message",
  [
    ((400, '{"error": "input binary: <b>expected</b> 3 columns"}'), "400: input binary: <b>exp"),
    ((503, '{"error": "queue full"}'), "The server answered 503: queue full"),
    ((502, "<html>Bad gateway</html>"), "The server answered 502: <html>Bad gateway</html>"),
    ((200, "fine"), "The server's answer is no JSON: fine"),
    ({"outputs": {"score": [1, 2]}}, "without probabilities"),
    ({"outputs": [1, 2]}, "neither outputs nor predictions by name"),
    ({"outputs": {"a": [1, 2], "b": [1]}}, "differ in length"),
  ],
  ids=["400", "503", "502", "no JSON", "no tasks", "no names", "lengths"],
)
def test_shows_the_servers_errors_and_goes_on(browser, server, answer, message):
  serve(server, probabilities())
  good, server.answer = server.answer, answer
  browser.open(server.url)
  browser.wait_for("!document.getElementById('error').hidden")
  assert message in text_of(browser, "#error")
  server.answer = good
  browser.evaluate("document.getElementById('generate').requestSubmit()")
  browser.wait_for("document.querySelectorAll('#rows tr').length === 12")
  assert not is_shown(browser, "error") and not browser.errors


def test_tells_when_the_model_or_the_server_is_not_there(browser, server):
  serve(server, probabilities())
  browser.open(server.url + "?model=a%2Fb")
  browser.wait_for("!document.getElementById('error').hidden")
  assert "404: Servable not found for request: /v1/models/a%2Fb" in text_of(browser, "#error")
  assert browser.evaluate("document.querySelectorAll('[name=model] option').length") == 2
  open_page(browser, server)
  server.close()
  browser.evaluate("document.getElementById('generate').requestSubmit()")
  browser.wait_for("!document.getElementById('error').hidden")
  assert "The server does not answer" in text_of(browser, "#error")


def test_connects_again_when_the_server_was_not_ready(browser, server):
  serve(server, probabilities())
  signatures, server.signatures = server.signatures, {}
  browser.open(server.url)
  browser.wait_for("!document.getElementById('error').hidden")
  server.signatures = signatures
  browser.evaluate("document.getElementById('generate').requestSubmit()")
  browser.wait_for("document.querySelectorAll('#rows tr').length === 12")
  assert not is_shown(browser, "error")


def test_names_are_text_wherever_they_come_from(browser, server):
  p = probabilities(3, 2)
  serve(server, p, (HOSTILE, "b"), ScoreConfig(weights={HOSTILE: 1.0, "b": 2.0}))
  server.signatures = {HOSTILE: {HOSTILE: ("DT_FLOAT", [-1, 2])}}
  open_page(browser, server, f"#w.{quote(HOSTILE)}=7", count=3)
  browser.evaluate("document.querySelector('#rows tr:last-child button').click()")
  assert browser.evaluate("document.querySelectorAll('img, #owned').length") == 0
  names = "[...document.querySelectorAll('.term .task')].map(name => name.textContent)"
  assert browser.evaluate(names) == [HOSTILE, "b"]
  # One word for a shell, whatever is in it.
  escaped = HOSTILE.replace("'", "'\\''")
  assert f"--set 'score.weights.{escaped}=7'" in browser.evaluate(
    "document.getElementById('command').textContent"
  )
  server.answer = 400, json.dumps({"error": HOSTILE})
  browser.evaluate("document.getElementById('generate').requestSubmit()")
  browser.wait_for("!document.getElementById('error').hidden")
  assert HOSTILE in browser.evaluate("document.getElementById('error').textContent")
  assert browser.evaluate("document.querySelectorAll('img, #owned').length") == 0


# Contrast as WCAG 2 defines it, of each element with text of its own, against the paper below it.
_CONTRASTS = """
(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const over = ([r, g, b, a = 1], paper) =>
    [r, g, b].map((part, i) => part * a + paper[i] * (1 - a));
  const paperOf = (element) => {
    const color = parse(getComputedStyle(element).backgroundColor);
    return color.length === 3 ? color : over(color, paperOf(element.parentElement));
  };
  const luminance = (color) => color
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (element) => {
    const paper = paperOf(element);
    const ink = over(parse(getComputedStyle(element).color), paper);
    const [low, high] = [luminance(paper), luminance(ink)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.checkVisibility() &&
      [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((element) => [contrast(element), element.outerHTML.slice(0, 120)])
    .sort((a, b) => a[0] - b[0])[0];
})()
"""
_UNLABELED = """
[...document.querySelectorAll("input, select, textarea, button")]
  .filter((field) => !(field.labels?.length || field.ariaLabel || field.innerText))
  .map((field) => field.outerHTML)
"""


@pytest.mark.parametrize("width, is_dark", [(400, True), (400, False), (1079, False), (1600, True)])
@pytest.mark.parametrize("num_tasks", [1, 40])
def test_fits_the_window_and_can_be_read(browser, server, width, is_dark, num_tasks):
  tasks = [*PUBLISHED, *(f"recap.engagement.{'long_name_' * 6}{i}" for i in range(30))][:num_tasks]
  weights = {task: (-1.0) ** place * place for place, task in enumerate(tasks[10:])}
  p = probabilities(12, num_tasks)
  serve(server, p, tasks, ScoreConfig(weights=weights))
  open_page(browser, server, f"#w.{tasks[0]}=-12345678.9", count=12)
  browser.look(width, 900, is_dark)
  browser.evaluate("document.getElementById('own').open = true")
  assert browser.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
  ratio, where = browser.evaluate(_CONTRASTS)
  assert ratio >= 4.5, where
  assert browser.evaluate(_UNLABELED) == []


def test_rows_glide_unless_motion_is_unwelcome(browser, server):
  serve(server, probabilities())
  for is_still in (True, False):
    open_page(browser, server)
    browser.look(1280, 1400, is_still=is_still)
    moved = browser.evaluate(
      "setWeight(page.terms.findIndex(term => term.weight === 27), -500); draw();"
      "document.getAnimations().length"
    )
    assert moved == 0 if is_still else moved > 0


def test_is_one_small_file_that_loads_nothing(browser, server):
  assert PAGE.stat().st_size < 60_000
  serve(server, probabilities())
  open_page(browser, server)
  loaded = browser.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
  assert {name.split(server.url)[-1] for name in loaded} <= {
    "v1/models/ranker",
    "v1/models/ranker/metadata",
    "v1/models/ranker:predict",
  }
