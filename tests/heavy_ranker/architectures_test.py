"""Each architecture trains, resumes, is measured and served: trained scores equal served ones."""

import json

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, evaluate, export, load_config, make_dataset, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights, weights_by_name
from tests.heavy_ranker.small_run import TASKS, WIDTHS, small_config, write_config
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.analysis import analyze
from tfrecords.errors import ConfigError

BAZEL_SIZE = "large"

_MLP = {"layer_sizes": [6, 5], "final_layer_activation": True}
_BLOCK = {"reduction_factor": 0.5, "output_size": 6, "input_layer_norm": True}
_BACKBONES = {
  "mlp": {"mlp_config": _MLP},
  "serial_mask_net": {"mask_net_config": {"mask_blocks": [_BLOCK, _BLOCK]}},
  "serial_mask_net_with_mlp": {"mask_net_config": {"mask_blocks": [_BLOCK], "mlp": _MLP}},
  "parallel_mask_net": {"mask_net_config": {"mask_blocks": [_BLOCK, _BLOCK], "use_parallel": True}},
  "cross_net": {"dcn_config": {"poly_degree": 2}},
  "parallel_dcn": {
    "dcn_config": {
      "poly_degree": 2,
      "projection_dim": 3,
      "parallel_mlp": _MLP,
      "use_parallel": True,
      "output_mlp": _MLP,
    }
  },
  "stacked_dcn": {"dcn_config": {"poly_degree": 1, "parallel_mlp": _MLP, "output_mlp": _MLP}},
  "dlrm": {"dlrm_config": {"bottom_mlp": {"layer_sizes": [8, 4]}, "top_mlp": _MLP}},
  "mixture_of_mlps": {
    "mmoe_config": {"num_experts": 3, "expert": {"mlp_config": _MLP}, "gate_layer_sizes": [4]}
  },
  "mixture_of_cross_nets": {
    "mmoe_config": {"num_experts": 2, "expert": {"dcn_config": {"poly_degree": 1}}}
  },
  "layered_mask_nets": {
    "ple_config": {
      "num_levels": 2,
      "num_shared_experts": 2,
      "num_task_experts": 1,
      "expert": {"mask_net_config": {"mask_blocks": [_BLOCK]}},
    }
  },
}
_TOWERS = {
  "cross_net_tower": {"dcn_config": {"poly_degree": 1, "output_mlp": {"layer_sizes": [4, 1]}}},
  "mask_net_tower": {"mask_net_config": {"mask_blocks": [_BLOCK], "mlp": {"layer_sizes": [1]}}},
  "dlrm_tower": {
    "dlrm_config": {"bottom_mlp": {"layer_sizes": [4]}, "top_mlp": {"layer_sizes": [3, 1]}}
  },
}
# Around what is tested, the least there can be: each operation takes its time to trace.
_PLAIN_BACKBONE = f"model.backbone={json.dumps(_BACKBONES['mlp'])}"
_PLAIN_FEATURES = "model.featurization_config={log1p_abs_config: {}}"
_PLAIN_TOWERS = [f"model.tasks.{task}={{mlp_config: {{layer_sizes: [1]}}}}" for task in TASKS]


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
  leave_report_out(monkeypatch)


def _check_trained_equals_served(folder, *overrides, resumes_for=0):
  """Also resumes for some more steps; for none, everything is restored and left at that."""
  overrides = (*overrides, "evaluation.baselines=null", "evaluation.bootstrap_samples=0")
  config = small_config(folder, *overrides)
  history = train(config)
  assert np.isfinite([entry["loss"] for entry in history]).all()
  last = 6 + resumes_for
  resumed = small_config(folder, *overrides, f"training.num_train_steps={last}")
  assert [entry["step"] for entry in train(resumed)] == list(range(7, last + 1))
  assert set(evaluate(resumed)["validation"]) == set(TASKS)
  ranker = build_model(resumed)
  restore_weights(ranker, latest_checkpoint(str(folder / "run")))
  features, _, _ = next(iter(make_dataset(resumed.validation_data["validation"], "evaluate")))
  serve = tf.saved_model.load(export(resumed, export_dir=str(folder / "saved")))
  served = serve.signatures["serving_default"](**{name: features[name] for name in WIDTHS})
  np.testing.assert_allclose(served["score"], ranker(features)["score"], rtol=1e-6, atol=1e-6)
  return ranker


@pytest.mark.parametrize("name", _BACKBONES)
def test_as_a_backbone(name, tmp_path):
  backbone = f"model.backbone={json.dumps(_BACKBONES[name])}"
  _check_trained_equals_served(tmp_path, backbone, _PLAIN_FEATURES, *_PLAIN_TOWERS)


def test_as_towers_on_the_features(tmp_path):
  overrides = _towers("cross_net_tower", "mask_net_tower", "dlrm_tower")
  overrides += ["model.multi_task_type=share_none", "model.backbone=null", _PLAIN_FEATURES]
  _check_trained_equals_served(tmp_path, *overrides, resumes_for=1)


def test_as_towers_on_features_and_backbone(tmp_path):
  overrides = _towers("cross_net_tower", "mask_net_tower")
  overrides += ["model.multi_task_type=share_partial", _PLAIN_BACKBONE, _PLAIN_FEATURES]
  _check_trained_equals_served(tmp_path, *overrides)


def _towers(*names):
  """Overrides that make each task another tower."""
  return [f"model.tasks.{task}={json.dumps(_TOWERS[name])}" for task, name in zip(TASKS, names)]


@pytest.mark.parametrize("name", ["mixture_of_mlps", "layered_mask_nets"])
def test_towers_on_features_and_their_own_mixture(name, tmp_path):
  override = f"model.backbone={json.dumps(_BACKBONES[name])}"
  affine = f"model.tasks.{TASKS[0]}.affine_map={{scale: 2.0}}"
  config = small_config(tmp_path, override, affine, "model.multi_task_type=share_partial")
  ranker = build_model(config)
  names = weights_by_name(ranker)
  layer = {"mixture_of_mlps": "gates/", "layered_mask_nets": "level_0/task_gates/"}[name]
  features = names[f"backbone/{layer}gate.{TASKS[0]}/dense_0/kernel"].shape[0]
  width = ranker.get_layer("backbone").output_shape[-1]
  for task in TASKS:
    assert names[f"tower.{task}/body/dense_0/kernel"].shape[0] == features + width
  assert np.isfinite([entry["loss"] for entry in train(config)]).all()


@pytest.mark.parametrize("name", ["mixture_of_mlps", "layered_mask_nets"])
def test_a_tower_reads_its_own_mixture(name, tmp_path):
  config = small_config(tmp_path, f"model.backbone={json.dumps(_BACKBONES[name])}")
  ranker = build_model(config)
  features, _, _ = next(iter(make_dataset(config.validation_data["validation"], "evaluate")))
  before = ranker(features)["logits"].numpy()
  backbone = ranker.get_layer("backbone")
  gates = backbone.gates if name == "mixture_of_mlps" else backbone.levels[-1].task_gates
  bias = gates.biases[-1][1]
  bias.assign(np.linspace(-3, 3, bias.shape[0]))
  changed = np.abs(ranker(features)["logits"] - before).max(axis=0) > 1e-6
  assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize(
  "featurization", ["{log1p_abs_config: {}}", "{clip_log1p_abs_config: {clip_magnitude: 2.0}}"]
)
def test_featurization(featurization, tmp_path):
  override = f"model.featurization_config={featurization}"
  _check_trained_equals_served(tmp_path, override, _PLAIN_BACKBONE, *_PLAIN_TOWERS)


@pytest.mark.parametrize(
  "options, file_format",
  [
    ({"schema_path": "schema.json"}, "json"),
    ({"use_bq_stats": True, "use_batch_norm": True, "use_renorm": True}, "rows"),
  ],
)
def test_z_score_with_the_commands_statistics(options, file_format, tmp_path):
  analysis = analyze(small_config(tmp_path).train_data, file_format=file_format)
  if "schema_path" in options:
    options = {**options, "schema_path": str(tmp_path / "schema.json")}
  section = {"z_score_log_config": {"analysis_path": analysis.path, **options}}
  override = f"model.featurization_config={json.dumps(section)}"
  plain = [_PLAIN_BACKBONE, *_PLAIN_TOWERS]
  ranker = _check_trained_equals_served(tmp_path, override, *plain, resumes_for=1)
  layer = ranker.get_layer("featurization")
  assert layer.batch_norm is None or layer.batch_norm.num_updates.numpy() == 7
  np.testing.assert_allclose(
    layer.mean, analysis.statistics["record.continuous"].mean[:7], rtol=1e-6
  )


def test_names_of_weights_do_not_depend_on_what_was_built_before(tmp_path):
  override = f"model.backbone={json.dumps(_BACKBONES['parallel_dcn'])}"
  config = load_config(write_config(tmp_path), [override])
  first, second = (list(weights_by_name(build_model(config))) for _ in range(2))
  assert first == second
  assert "backbone/cross_1/dense_1/kernel" in first


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    (
      [f"model.backbone={json.dumps(_BACKBONES['dlrm']).replace('[8, 4]', '[5]')}"],
      "bottom_mlp.layer_sizes: the last size is 5, allowed: 4, the width of the embeddings",
    ),
    (
      [f"model.tasks.{TASKS[0]}={json.dumps(_TOWERS['dlrm_tower'])}"],
      "dlrm_config: a tower on a backbone has no embeddings to interact",
    ),
  ],
)
def test_a_dlrm_that_cannot_work_says_why(overrides, message, tmp_path):
  with pytest.raises(ConfigError, match=message):
    build_model(small_config(tmp_path, *overrides))


def test_a_dlrm_needs_embeddings_of_one_width(tmp_path):
  config = small_config(tmp_path, f"model.backbone={json.dumps(_BACKBONES['dlrm'])}")
  with pytest.raises(ConfigError, match=r"widths 4 \(user_embedding\), 3 \(author_"):
    build_model(config, {**WIDTHS, "author_embedding": 3})
  with pytest.raises(ConfigError, match="found no embedding"):
    build_model(config, {"continuous": 4, "binary": 2})
