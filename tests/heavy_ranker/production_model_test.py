"""The ranker of configs/local_prod.yaml has the sizes and settings of production."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, load_config
from heavy_ranker.config.score import DEFAULT_WEIGHTS
from heavy_ranker.features import schema_widths
from heavy_ranker.layers.tower import tower_name

BAZEL_DATA = ["//configs:all"]

CONFIG = Path(__file__).parents[2] / "configs" / "local_prod.yaml"
WIDTHS = {
  "continuous": 2117,
  "binary": 59,
  "user_embedding": 200,
  "user_eng_embedding": 200,
  "author_embedding": 200,
}
ENGAGEMENT = "recap.engagement."
# Peak of the linear ramp and steps up to it.
RATES = {
  "is_favorited": (8e-4, 5000),
  "is_good_clicked_convo_desc_favorited_or_replied": (1e-4, 2000),
  "is_good_clicked_convo_desc_v2": (2e-4, 1000),
  "is_negative_feedback_v2": (5e-4, 5000),
  "is_profile_clicked_and_profile_engaged": (3e-4, 1000),
  "is_replied": (1e-3, 1000),
  "is_replied_reply_engaged_by_author": (1e-4, 1000),
  "is_report_tweet_clicked": (1e-4, 3000),
  "is_retweeted": (1e-4, 1000),
  "is_video_playback_50": (3e-3, 1000),
}
SAMPLING = {
  "is_favorited": (0.8387, 0.01),
  "is_good_clicked_convo_desc_favorited_or_replied": (0.9164, 0.00195),
  "is_good_clicked_convo_desc_v2": (1.0, 0.00174),
  "is_negative_feedback_v2": (1.0, 0.00280),
  "is_profile_clicked_and_profile_engaged": (1.0, 0.0015),
  "is_replied": (1.0, 0.005),
  "is_replied_reply_engaged_by_author": (1.0, 0.001),
  "is_report_tweet_clicked": (1.0, 0.000014),
  "is_retweeted": (0.9561, 0.004),
  "is_video_playback_50": (1.0, 0.00427),
}
TASKS = [ENGAGEMENT + task for task in RATES]


@pytest.fixture(scope="module", name="config")
def config_fixture():
  return load_config(CONFIG)


@pytest.fixture(scope="module", name="model")
def model_fixture(config):
  return build_model(config)


def test_widths_come_from_the_schema_after_truncation(config, model):
  assert {name: schema_widths(config)[name] for name in WIDTHS} == WIDTHS
  assert {name: x.shape[1] for name, x in model.input.items()} == WIDTHS


def test_number_of_parameters(model):
  count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
  assert count == 48_115_108


def test_backbone(model):
  backbone = model.get_layer("backbone")
  shapes = [
    [tuple(layer.kernel.shape) for layer in (block.aggregation, block.mask, block.hidden)]
    for block in backbone.blocks
  ]
  assert shapes == [[(2776, 1024), (1024, 2776), (2776, 1024)]] * 4
  assert [tuple(layer.kernel.shape) for layer in backbone.mlp.dense_layers] == [(4096, 2048)]
  assert all(block.input_norm is None for block in backbone.blocks)


def test_towers(config, model):
  assert list(config.model.tasks) == TASKS
  for task in TASKS:
    body = model.get_layer(tower_name(task)).body
    shapes = [tuple(layer.kernel.shape) for layer in body.dense_layers]
    assert shapes == [(2048, 256), (256, 128), (128, 1)]
    assert [norm.gamma for norm in body.batch_norms] == [None, None]
    dropout = config.model.tasks[task].mlp_config.dropout
    rates = {"is_negative_feedback_v2": 0.1, "is_report_tweet_clicked": 0.2}
    assert (dropout and dropout.rate) == rates.get(task[len(ENGAGEMENT) :])


def test_featurization(config):
  section = config.model.featurization_config.double_norm_log_config
  assert section.clip_magnitude == 5.0
  assert section.layer_norm_config.epsilon == 0.0
  assert (section.batch_norm_config.affine, section.batch_norm_config.momentum) == (True, 0.01)


def test_optimizer(config):
  adam = config.optimizer.adam
  assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.95, 0.999, 1e-7)
  rates = config.optimizer.multi_task_learning_rates
  backbone = rates.backbone_learning_rate.linear_ramp_to_constant
  assert (backbone.learning_rate, backbone.num_ramp_steps) == (1e-4, 1000)
  for task, expected in RATES.items():
    ramp = rates.tower_learning_rates[ENGAGEMENT + task].linear_ramp_to_constant
    assert (ramp.learning_rate, ramp.num_ramp_steps) == expected


def test_training_and_evaluation(config):
  training = config.training
  assert (training.num_train_steps, training.checkpoint_every_n) == (10, 5)
  assert training.save_dir.endswith("tmp/runs/recap_local_debug")
  assert config.train_data.global_batch_size == 128
  assert config.train_data.inputs.endswith("tmp/recap_local_random_data/*.gz")
  assert len(config.train_data.tasks) == 13
  (partition,) = config.validation_data.values()
  for task, expected in SAMPLING.items():
    rates = partition.tasks[ENGAGEMENT + task]
    assert (rates.pos_downsampling_rate, rates.neg_downsampling_rate) == expected


def test_score(config):
  assert {task: config.score.weight_of(task) for task in TASKS} == DEFAULT_WEIGHTS
  assert config.score.only_largest_of == [TASKS[1:3]]


def test_outputs_are_finite_for_every_input(model):
  random = np.random.default_rng(0)
  inputs = {name: random.normal(size=(6, width)) * 100 for name, width in WIDTHS.items()}
  for values in inputs.values():
    values[0], values[1], values[2], values[3] = 0.0, np.nan, 3.4e38, -3.4e38
    values[4, ::2] = np.inf
  outputs = model({name: tf.constant(values, tf.float32) for name, values in inputs.items()})
  for values in outputs.values():
    assert np.isfinite(values).all()
  probabilities = outputs["probabilities"].numpy()
  assert probabilities.shape == (6, 10)
  assert ((probabilities > 0) & (probabilities < 1)).all()
