"""What a new run learns about its data first, and who keeps it."""

import json

import numpy as np
import pytest

from heavy_ranker import build_model, evaluate, export, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from heavy_ranker.config_check import check_config
from heavy_ranker.training.data_fit import fit_to_data
from tests.heavy_ranker.small_run import TASKS, small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import ConfigError


def config_of(folder, *overrides, wide=None, **options):
  section = json.dumps({"fitted_log_config": options})
  return small_config(
    folder,
    f"model.featurization_config={section}",
    f"model.wide_config={json.dumps(wide or {'l2': 0.01})}",
    *overrides,
  )


def test_features_are_standardized_and_the_bias_is_that_of_the_labels(tmp_path):
  config = config_of(
    tmp_path,
    "train_data.tasks={" + f"{TASKS[0]}: {{neg_downsampling_rate: 0.5}}, "
    f"{TASKS[1]}: {{}}, {TASKS[2]}: {{}}}}",
  )
  ranker = build_model(config)
  assert fit_to_data(ranker, config) == "fitted to the first 120 examples of train_data"
  layer = ranker.get_layer("featurization")
  assert layer.mean.shape == layer.std.shape and float(np.abs(layer.mean).max()) > 0
  evaluated = evaluate_labels(config)
  odds = np.exp(ranker.get_layer("wide").bias.numpy())
  expected = [(positives * w + 0.5) / (120 - positives + 0.5) for positives, w in evaluated]
  np.testing.assert_allclose(odds[1:], expected[1:], rtol=1e-5)
  positives = evaluated[0][0]
  np.testing.assert_allclose(odds[0], (positives + 0.5) / (2 * (120 - positives) + 0.5), rtol=1e-5)


def evaluate_labels(config):
  from tfrecords.input_pipeline import InputPipeline

  found = np.zeros(len(TASKS))
  for _, labels, _ in InputPipeline(config.train_data, "evaluate", ["continuous"], TASKS).dataset:
    found += [float(labels[task].numpy().sum()) for task in TASKS]
  return [(each, 1.0) for each in found]


def test_reads_no_more_examples_than_asked_for(tmp_path):
  config = config_of(tmp_path, num_examples=20)
  ranker = build_model(config)
  assert fit_to_data(ranker, config) == "fitted to the first 20 examples of train_data"


def test_nothing_to_fit(tmp_path):
  config = small_config(tmp_path)
  assert fit_to_data(build_model(config), config) is None


def test_a_run_resumes_is_measured_and_exported_without_fitting_again(
  tmp_path, capsys, monkeypatch
):
  leave_report_out(monkeypatch)
  config = config_of(tmp_path, "training.num_train_steps=3")
  train(config)
  assert "fitted to the first 120 examples" in capsys.readouterr().out
  longer = config_of(tmp_path, "training.num_train_steps=5")
  train(longer)
  assert "fitted" not in capsys.readouterr().out
  ranker = build_model(longer, weights_follow=True)
  restore_weights(ranker, latest_checkpoint(longer.training.save_dir))
  assert float(np.abs(ranker.get_layer("featurization").mean).max()) > 0
  evaluate(longer)
  export(longer, export_dir=str(tmp_path / "saved"))


@pytest.mark.parametrize(
  "options, wide, message",
  [
    ({"leave_out": [7]}, None, "leave_out: found column 7, allowed: 0 to 6"),
    ({"no_pieces_of": ["5-9"]}, None, "no_pieces_of: found column 9, allowed: 0 to 6"),
    ({"rates": [{"of": [1], "per": 9}]}, None, "rates.0.per: found column 9, allowed: 0 to 6"),
    ({"leave_out": ["0-6"]}, None, "leave_out: found every column, allowed: not all"),
    ({}, {"tables": [{"index": 0, "num_embeddings": 3}]}, "'discrete' is needed and missing"),
  ],
)
def test_columns_that_do_not_exist(tmp_path, options, wide, message):
  with pytest.raises(ConfigError, match=message):
    check_config(config_of(tmp_path, wide=wide, **options))
