"""Training in fewer bits: the same quality, float32 wherever it matters, overflow survived."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from heavy_ranker import build_model, evaluate, train
from heavy_ranker.checkpoints import latest_checkpoint, restore_weights, weights_by_name
from heavy_ranker.training import loss_scale
from heavy_ranker.training.trainer import Trainer
from tests.heavy_ranker.example_config import WIDTHS, build_config
from tests.heavy_ranker.small_run import TASKS, small_config, write_records
from tests.heavy_ranker.without_report import leave_report_out
from tfrecords.errors import ConfigError

BAZEL_SIZE = "large"
_MLP = {"layer_sizes": [6, 5], "batch_norm": {"affine": True}, "dropout": {"rate": 0.1}}
_BLOCK = {"aggregation_size": 4, "output_size": 6, "input_layer_norm": True}
_EXPERTS = {"num_shared_experts": 1, "num_task_experts": 1}
_BACKBONES = {
  "parallel_mask_net": None,
  "serial_mask_net": {"mask_net_config": {"mask_blocks": [_BLOCK, _BLOCK], "mlp": _MLP}},
  "dcn": {"dcn_config": {"poly_degree": 2, "parallel_mlp": _MLP, "use_parallel": True}},
  "mmoe": {"mmoe_config": {"num_experts": 2, "expert": {"mlp_config": _MLP}}},
  "ple": {"ple_config": {"num_levels": 2, **_EXPERTS, "expert": {"mlp_config": _MLP}}},
}


def _features():
  generator = np.random.default_rng(1)
  values = {name: generator.standard_normal((64, width)) for name, width in WIDTHS.items()}
  return {name: tf.constant(each, tf.float32) for name, each in values.items()}


@pytest.fixture(scope="module", params=_BACKBONES)
def full_precision(request):
  """(configuration, model) of a backbone."""
  backbone = _BACKBONES[request.param]
  config = build_config([("model", "backbone", backbone)] if backbone else [])
  return config, build_model(config, WIDTHS)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_products_have_fewer_bits_and_the_rest_float32(full_precision, dtype):
  config, full = full_precision
  lower = build_model(config, WIDTHS, compute_dtype=dtype)
  assert keras.mixed_precision.global_policy().name == "float32"
  assert {each.dtype for each in lower.trainable_weights} == {tf.float32}
  assert weights_by_name(lower).keys() == weights_by_name(full).keys()
  for before, after in zip(full.weights, lower.weights):
    np.testing.assert_array_equal(before, after)  # Seeds make them, not dtypes.
  features = _features()
  few, many = lower(features), full(features)
  np.testing.assert_allclose(few["probabilities"], many["probabilities"], atol=0.02)
  assert np.any(few["logits"] != many["logits"])

  @tf.function(autograph=False)
  def gradients(features):
    with tf.GradientTape() as tape:
      outputs = lower(features, training=True)
      loss = tf.reduce_mean(tf.square(outputs["logits"]))
    return outputs, tape.gradient(loss, lower.trainable_variables)

  outputs, found = gradients(features)
  assert {each.dtype for each in outputs.values()} == {tf.float32}
  assert {each.dtype for each in found if each is not None} == {tf.float32}
  graph = gradients.get_concrete_function(features).graph
  products = [op.outputs[0].dtype for op in graph.get_operations() if op.type == "MatMul"]
  assert products.count(tf.as_dtype(dtype)) > len(products) / 2


def _auroc(folder, name, *overrides):
  config = small_config(
    folder, f"training.save_dir={folder}/{name}", "training.num_train_steps=80", *overrides
  )
  history = train(config)
  assert np.isfinite([each["loss"] for each in history]).all()
  metrics = evaluate(config)["validation"]
  return np.mean([metrics[task]["auroc"] for task in TASKS]), config


def test_the_same_quality_and_checkpoints_that_fit_both(tmp_path, monkeypatch):
  leave_report_out(monkeypatch)
  often = ["training.train_log_every_n=40", "training.checkpoint_every_n=80"]
  often.append("evaluation.bootstrap_samples=0")
  # So many that no single one of them, met a rounding later, turns the result.
  records = write_records(tmp_path / "many", num_examples=2400)
  often += [f"{data}.inputs={records}" for data in ("train_data", "validation_data.validation")]
  often += [f"{data}.global_batch_size=96" for data in ("train_data", "validation_data.validation")]
  full, config = _auroc(tmp_path, "full", *often)
  half, lower = _auroc(tmp_path, "half", *often, "training.mixed_precision=true")
  brain, _ = _auroc(tmp_path, "brain", *often, "training.mixed_precision=bfloat16")
  assert full > 0.75
  assert abs(half - full) < 0.02
  assert abs(brain - full) < 0.02
  # Each run goes on in the other's precision.
  for run, mixed in ((config, "float16"), (lower, "false")):
    path = run.training.save_dir
    more = small_config(
      tmp_path,
      f"training.save_dir={path}",
      f"training.mixed_precision={mixed}",
      "training.num_train_steps=82",
    )
    assert [each["step"] for each in train(more)] == [81, 82]
    restore_weights(build_model(more), latest_checkpoint(path))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_overflow_leaves_batches_out_and_lowers_the_scale(tmp_path, monkeypatch, accumulation):
  monkeypatch.setattr(loss_scale, "_INITIAL", 2.0**24)
  monkeypatch.setattr(loss_scale, "_FACTOR", 2.0**6)
  flags = ["training.mixed_precision=float16", "training.num_train_steps=5"]
  config = small_config(tmp_path, *flags, f"training.gradient_accumulation={accumulation}")
  trainer = Trainer(config)
  before = [each.numpy() for each in trainer._model.ranker.trainable_weights]
  scale = trainer._model.loss_scale.scale
  assert np.isfinite([each["loss"] for each in trainer.run()]).all()
  assert int(trainer._model.optimizer.iterations.numpy()) == 5
  assert scale.numpy() in (2.0**18, 2.0**12, 2.0**6)
  after = [each.numpy() for each in trainer._model.ranker.trainable_weights]
  assert all(np.isfinite(each).all() for each in after)
  assert any((a != b).any() for a, b in zip(before, after))
  # The scale is part of the run.
  resumed = Trainer(small_config(tmp_path, *flags[:1], "training.num_train_steps=6"))
  assert resumed._model.loss_scale.scale.numpy() == scale.numpy()


@pytest.mark.parametrize("value", ["float64", "1", "half", "[float16]", "mixed_float16"])
def test_other_values_are_refused(tmp_path, value):
  with pytest.raises(ConfigError, match="training.mixed_precision"):
    small_config(tmp_path, f"training.mixed_precision={value}")


@pytest.mark.parametrize(
  ("value", "dtype"),
  [("false", "float32"), ("null", "float32"), ("true", "float16"), ("bfloat16", "bfloat16")],
)
def test_what_a_value_means(tmp_path, value, dtype):
  config = small_config(tmp_path, f"training.mixed_precision={value}")
  assert config.training.compute_dtype == dtype
