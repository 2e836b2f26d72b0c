"""Statistics of `z_score_log_config`: which columns, which errors, and who keeps them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from heavy_ranker import build_model, evaluate, export, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights
from heavy_ranker.z_score_statistics import load_z_score_statistics
from tests.heavy_ranker.small_run import TASKS, WIDTHS, small_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import ConfigError, DataError

MEAN = [0.1 * column for column in range(WIDTHS["continuous"])]
STD = [1.0 + column for column in range(WIDTHS["continuous"])]


def write(path, mean=MEAN, std=STD, name="record.continuous"):
  path.write_text(json.dumps({"features": {name: {"mean": mean, "std": std}}}))
  return path


def config_of(folder, *overrides, **options):
  path = folder / "statistics.json"
  if not path.exists():
    write(path)
  section = {"z_score_log_config": {"analysis_path": str(path), **options}}
  featurization = f"model.featurization_config={json.dumps(section)}"
  return small_config(folder, featurization, *overrides)


def test_the_columns_are_those_that_preprocessing_keeps(tmp_path):
  np.save(tmp_path / "mask.npy", np.array([0, 1, 1, 0, 0, 0, 1]))
  mask = f"continuous_feature_mask_path={tmp_path / 'mask.npy'}"
  config = config_of(tmp_path, f"train_data.preprocess.truncate_and_slice.{mask}")
  found = load_z_score_statistics(config, 3)
  np.testing.assert_allclose(found.mean, np.array(MEAN)[[1, 2, 6]])
  np.testing.assert_allclose(found.std, np.array(STD)[[1, 2, 6]])
  everything = config_of(tmp_path, "train_data.preprocess=null")
  assert load_z_score_statistics(everything, 9).mean.tolist() == MEAN


def test_a_file_of_the_first_columns_is_enough_if_no_other_is_used(tmp_path):
  write(tmp_path / "statistics.json", MEAN[:7], STD[:7])
  assert load_z_score_statistics(config_of(tmp_path), 7).mean.tolist() == MEAN[:7]


@pytest.mark.parametrize("length", [6, 10])
def test_too_few_or_too_many_columns(tmp_path, length):
  write(tmp_path / "statistics.json", [0.0] * length, [1.0] * length)
  message = f"statistics.json: feature 'record.continuous': found {length} columns, allowed: 7 .*9"
  with pytest.raises(DataError, match=message):
    build_model(config_of(tmp_path))


def test_what_is_wrong_with_the_file_is_named(tmp_path):
  write(tmp_path / "statistics.json", name="continuous")
  with pytest.raises(DataError, match="feature 'record.continuous' is missing, did you mean"):
    build_model(config_of(tmp_path))
  with pytest.raises(DataError, match=r"analysis_path: .*none.json cannot be read.*tfrecords:ana"):
    build_model(config_of(tmp_path, analysis_path=str(tmp_path / "none.json")))
  with pytest.raises(ConfigError, match="analysis_path: .* needs the environment variable NOT_SET"):
    build_model(config_of(tmp_path, analysis_path="$NOT_SET/x"))


@pytest.mark.parametrize(
  "entries, message",
  [
    ([("record.continuous", 8)], "found length 8 for 'record.continuous', allowed: length 9"),
    ([("other", 9)], "found no such feature for 'record.continuous'"),
  ],
)
def test_statistics_of_another_schema(tmp_path, entries, message):
  schema = tmp_path / "analyzed.json"
  schema.write_text(
    json.dumps(
      {"schema": [{"feature_name": n, "dtype": "float_list", "length": k} for n, k in entries]}
    )
  )
  with pytest.raises(ConfigError, match=message):
    build_model(config_of(tmp_path, schema_path=str(schema)))


def test_an_input_of_another_width_or_outside_the_records(tmp_path):
  with pytest.raises(ConfigError, match="'continuous' has 4 columns, allowed: 7"):
    build_model(config_of(tmp_path), {"continuous": 4, "binary": 2})
  renamed = "train_data.seg_dense_schema.renamed_features={binary: record.binary}"
  config = config_of(tmp_path, renamed, "train_data.preprocess=null")
  with pytest.raises(ConfigError, match="'continuous' is none of their features"):
    build_model(config, {"continuous": 4, "binary": 2})


def test_renormalization_without_normalization_is_an_error(tmp_path):
  with pytest.raises(ConfigError, match="use_renorm: found true without use_batch_norm"):
    config_of(tmp_path, use_renorm=True)


@pytest.fixture(name="run", scope="module")
def run_fixture(tmp_path_factory):
  path = tmp_path_factory.mktemp("z_score")
  train(config_of(path))
  return path / "run"


@pytest.fixture(name="trained")
def trained_fixture(run, tmp_path):
  """A folder with a copy of that run."""
  shutil.copytree(run, tmp_path / "run")
  config_of(tmp_path)
  return tmp_path


def statistics_of(config):
  ranker = build_model(config, weights_follow=True)
  restore_weights(ranker, latest_checkpoint(config.training.save_dir))
  layer = ranker.get_layer("featurization")
  return layer.mean.numpy().tolist(), layer.std.numpy().tolist()


def test_checkpoints_bring_their_statistics_along(trained, capsys, monkeypatch):
  leave_report_out(monkeypatch)
  config = config_of(trained)
  resumed = config_of(trained, "training.num_train_steps=7")
  before, measured = statistics_of(config), evaluate(config)
  np.testing.assert_allclose(before, [MEAN[:7], STD[:7]], rtol=1e-6)
  capsys.readouterr()

  write(trained / "statistics.json", MEAN[::-1], STD[::-1])
  assert repr(evaluate(config)) == repr(
    measured
  )  # repr: NaN, where there are no users, equals itself.
  train(resumed)
  assert statistics_of(config) == before
  told = capsys.readouterr().out
  assert "the z-score statistics are the checkpoint's: " in told
  assert "statistics.json holds others by now" in told

  (trained / "statistics.json").unlink()
  options = {"analysis_path": str(trained / "statistics.json")}
  section = f"model.featurization_config={json.dumps({'z_score_log_config': options})}"
  without_file = small_config(trained, section, "training.num_train_steps=8")
  train(without_file)
  assert "the checkpoint's; model.featurization_config" in capsys.readouterr().out
  assert set(evaluate(without_file)["validation"]) == set(TASKS)
  assert Path(export(without_file, export_dir=str(trained / "saved"))).exists()
  assert statistics_of(without_file) == before


def test_a_warm_start_keeps_the_statistics_its_weights_were_trained_with(trained, capsys):
  write(trained / "statistics.json", MEAN[::-1], STD[::-1])
  initial = f"training.initial_checkpoint_dir={trained / 'run'}"
  overrides = [initial, f"training.save_dir={trained / 'second'}"]
  train(config_of(trained, *overrides))
  np.testing.assert_allclose(statistics_of(config_of(trained, *overrides))[0], MEAN[:7], rtol=1e-6)
  assert "holds others by now" in capsys.readouterr().out


def test_a_new_run_and_an_unchanged_file_say_nothing(trained, capsys):
  train(config_of(trained, "training.num_train_steps=7"))
  assert "statistics" not in capsys.readouterr().out
