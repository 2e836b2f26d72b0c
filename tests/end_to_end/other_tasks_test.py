"""Tasks are data: a ranker of two odd ones goes the whole way, from training to the page."""

import json
import re
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import evaluate, export, train
from heavy_ranker.config import load_config
from heavy_ranker.serving.client import Client
from heavy_ranker.serving.offline_scoring import example_scorer, scoring_run
from heavy_ranker.serving.scored_file import score_file
from heavy_ranker.serving.server.server import Server
from heavy_ranker.serving.server.settings import ANY_PORT, ServerSettings
from heavy_ranker.serving.warmup import WARMUP_FILE
from tests.heavy_ranker.other_tasks_run import TASKS, WIDTH, write_config
from tests.heavy_ranker.serving.server.browser import BROWSER, Browser

BAZEL_SIZE = "large"
BAZEL_DATA = ["//heavy_ranker/serving/server/page:all"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("other")
  config = load_config(write_config(folder))
  train(config)
  export(config, export_dir=str(folder / "saved"))
  return folder


@pytest.fixture(scope="module")
def server(folder):
  server = Server(
    ServerSettings(port=ANY_PORT, rest_api_port=ANY_PORT, model_base_path=str(folder / "saved"))
  )
  server.start()
  yield server
  server.stop(5)


def expected_of(folder, continuous):
  """The outputs of the export, by its own weights."""
  serve = tf.saved_model.load(str(folder / "saved" / "1")).signatures["serving_default"]
  return {name: tensor.numpy() for name, tensor in serve(continuous=continuous).items()}


def test_is_measured_and_reported(folder):
  config = load_config(folder / "other.yaml")
  results = evaluate(config)
  assert set(results["held out"]) >= set(TASKS)
  report = (folder / "run" / "evaluation" / "report.html").read_text()
  assert "kuairand.long_view" in report and "saved for later?" in report
  assert "recap.engagement" not in report


def test_the_score_has_its_own_weights(folder):
  continuous = np.random.default_rng(1).standard_normal((6, WIDTH)).astype("f")
  outputs = expected_of(folder, continuous)
  p = outputs["probabilities"]
  assert p.shape == (6, 2)
  np.testing.assert_allclose(outputs["score"], 2.5 * p[:, 0] - p[:, 1], rtol=1e-5)
  known = json.loads((folder / "saved/1/assets.extra/score.json").read_text())
  assert known["weights"] == {TASKS[0]: 2.5, TASKS[1]: -1.0}


@pytest.mark.parametrize("api", ["grpc", "rest"])
def test_is_served_and_asked_by_the_client(folder, server, api):
  continuous = np.random.default_rng(2).standard_normal((4, WIDTH)).astype("f")
  port = server.grpc_port if api == "grpc" else server.rest_port
  with Client(f"127.0.0.1:{port}", api) as client:
    expected, found = expected_of(folder, continuous), client.score({"continuous": continuous})
    assert set(found) == set(expected)
    for name, values in expected.items():
      np.testing.assert_allclose(found[name], values, rtol=1e-5)
    ranking = score_file(client, str(folder / "part-0.gz"))
  assert len(ranking.order) == 64
  assert "long_view" in ranking.table(3)


def test_the_version_warms_up_and_scores_files(folder):
  assert list(tf.data.TFRecordDataset(str(folder / "saved" / "1" / WARMUP_FILE)))
  model = example_scorer.exported_model(str(folder / "saved"))
  inputs = scoring_run.inputs_of_glob(str(folder / "part-0.gz"))
  result = scoring_run.score_records(model, inputs, str(folder / "scores"))
  assert result.examples == 64 and set(TASKS) <= set(result.columns)


def test_the_page_is_there_without_the_published_tasks(server):
  with urllib.request.urlopen(f"http://127.0.0.1:{server.rest_port}/", timeout=30) as answer:
    assert re.search("<title>.+</title>", answer.read().decode())


@pytest.mark.skipif(BROWSER is None, reason="no browser on the PATH")
def test_the_page_shows_the_tasks_it_is_given(folder, server, tmp_path):
  browser = Browser(tmp_path)
  try:
    browser.open(f"http://127.0.0.1:{server.rest_port}/#n=2")
    browser.choose_file("#file", folder / "part-0.gz")
    browser.wait_for("document.querySelectorAll('#rows tr').length > 1")
    text = browser.evaluate("document.body.innerText")
    assert "long_view" in text and "saved for later?" in text
    assert not browser.errors
  finally:
    browser.close()
