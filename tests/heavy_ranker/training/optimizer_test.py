"""Tests of `heavy_ranker.training.optimizer`."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model
from heavy_ranker.layers.tower import tower_name
from heavy_ranker.training.optimizer import (
  BACKBONE,
  LARGE_EMBEDDINGS,
  learning_rate_configs,
  make_optimizer,
  variable_groups,
)
from tests.heavy_ranker import example_config, numpy_twins

TASKS = list(example_config.TASKS)
SHARING = ("share_all", "share_none", "share_partial")


def build(*changes):
  config = example_config.build_config(changes)
  return config, build_model(config, example_config.WIDTHS)


def sharing(kind):
  changes = [("model", "multi_task_type", kind)]
  return changes + ([("model", "backbone", None)] if kind == "share_none" else [])


@pytest.mark.parametrize("kind", SHARING)
def test_groups_are_disjoint_and_cover_everything(kind):
  _, model = build(*sharing(kind))
  groups = variable_groups(model, TASKS)
  assert list(groups) == [*TASKS, BACKBONE]
  found = [variable.ref() for group in groups.values() for variable in group]
  assert len(found) == len(set(found))
  assert set(found) == {variable.ref() for variable in model.trainable_variables}


def test_a_tower_is_its_tasks_group_affine_map_included():
  _, model = build()
  groups = variable_groups(model, TASKS)
  for task in TASKS:
    name = tower_name(task)
    expected = {x.ref() for x in model.get_layer(name).trainable_variables}
    assert {x.ref() for x in groups[task]} == expected
    assert all(x.name.startswith(f"{name}/") for x in groups[task])
  affine_map = model.get_layer(tower_name("area.replies")).affine_map
  assert affine_map.scale.ref() in {x.ref() for x in groups["area.replies"]}


def test_featurization_embedding_norms_and_backbone_are_one_group():
  _, model = build()
  layers = {variable.name.split("/")[0] for variable in variable_groups(model, TASKS)[BACKBONE]}
  assert layers == {
    "featurization",
    "user_embedding_norm",
    "user_eng_embedding_norm",
    "author_embedding_norm",
    "backbone",
  }


def test_gates_and_experts_are_in_the_backbones_group():
  expert = {"mlp_config": {"layer_sizes": [4]}}
  options = {"num_levels": 2, "num_shared_experts": 1, "num_task_experts": 1, "expert": expert}
  _, model = build(("model", "backbone", {"ple_config": options}))
  groups = variable_groups(model, TASKS)
  found = {variable.ref() for variable in groups[BACKBONE]}
  backbone = model.get_layer("backbone").trainable_variables
  assert len(backbone) == 2 * (5 + 4) * 2 + 2
  assert {variable.ref() for variable in backbone} <= found


def test_a_variable_beside_the_ranker_is_in_its_tasks_group():
  _, model = build()
  variable = tf.Variable(0.0)
  groups = variable_groups(model, TASKS, {"area.replies": variable})
  assert groups["area.replies"][-1] is variable
  without = variable_groups(model, TASKS)
  assert {task: len(group) - len(without[task]) for task, group in groups.items()} == {
    **dict.fromkeys([*TASKS, BACKBONE], 0),
    "area.replies": 1,
  }


def test_large_tables_are_a_group_and_small_ones_the_backbones():
  rate = {"piecewise_constant": {"learning_rate_boundaries": [1], "learning_rate_values": [0.5, 2]}}
  table = {"num_embeddings": 5, "embedding_dim": 3}
  large = {"tables": [{"name": "tags", **table}], "optimizer": {"learning_rate": rate}}
  config = example_config.build_config(
    [
      ("model", "large_embeddings", large),
      ("model", "small_embeddings", {"tables": [{"name": "tags", "index": 0, **table}]}),
      ("model", "position_debias_config", {"position_feature_index": 1}),
    ]
  )
  model = build_model(config, {**example_config.WIDTHS, "tags": 1, "discrete": 2})
  groups = variable_groups(model, TASKS)
  assert list(groups) == [*TASKS, BACKBONE, LARGE_EMBEDDINGS]
  (table,) = groups[LARGE_EMBEDDINGS]
  assert table.name == "large_embedding.tags/hashed_embeddings:0"
  names = {variable.name for variable in groups[BACKBONE]}
  assert {"small_embedding.tags/embeddings:0", "position_debias/positions/embeddings:0"} <= names
  section = config.model.large_embeddings
  assert list(learning_rate_configs(config.optimizer, TASKS, section)) == list(groups)
  optimizer = make_optimizer(config.optimizer, model, TASKS, large_embeddings=section)
  variables = model.trainable_variables
  for expected in (0.5, 2.5):
    optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    initial = build_model(config, {**example_config.WIDTHS, "tags": 1, "discrete": 2})
    before = initial.get_layer("large_embedding.tags").embeddings
    np.testing.assert_allclose(before - table, np.full((6, 3), expected), rtol=1e-5)


def test_each_group_has_its_schedule_and_the_first_update_step_0():
  config, model = build()
  optimizer = make_optimizer(config.optimizer, model, TASKS)
  groups = variable_groups(model, TASKS)
  section = example_config.content()["optimizer"]["multi_task_learning_rates"]
  schedules = {**section["tower_learning_rates"], BACKBONE: section["backbone_learning_rate"]}
  for step in range(4):
    before = {group: [x.numpy() for x in variables] for group, variables in groups.items()}
    variables = model.trainable_variables
    optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    for group, variables in groups.items():
      # Adam's step for a gradient that never changes is the learning rate.
      rate = numpy_twins.learning_rate(schedules[group], step)
      for variable, value in zip(variables, before[group]):
        np.testing.assert_allclose(value - variable, rate, rtol=2e-3, atol=1e-7)


def test_a_single_schedule_is_for_every_group():
  rates = {"single_task_learning_rate": {"constant": 0.25}, "adam": {"epsilon": 1e-12}}
  config, model = build(("optimizer", rates))
  schedules = learning_rate_configs(config.optimizer, TASKS)
  assert list(schedules) == [*TASKS, BACKBONE]
  optimizer = make_optimizer(config.optimizer, model, TASKS)
  before = [variable.numpy() for variable in model.trainable_variables]
  variables = model.trainable_variables
  optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
  for variable, value in zip(variables, before):
    np.testing.assert_allclose(value - variable, 0.25, rtol=1e-4)


def test_every_groups_adam_has_the_configured_constants():
  adam = {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 0.5}
  config, model = build(("optimizer", "adam", adam))
  optimizer = make_optimizer(config.optimizer, model, TASKS)
  assert len(optimizer.optimizers) == 5
  for single in optimizer.optimizers:
    found = single.get_config()
    assert {key: found[key] for key in adam} == adam


def test_a_group_may_be_empty():
  featurization = {
    "batch_norm_config": {"affine": False},
    "layer_norm_config": {"center": False, "scale": False},
  }
  section = {"double_norm_log_config": featurization}
  changes = [*sharing("share_none"), ("model", "featurization_config", section)]
  config = example_config.build_config(changes)
  model = build_model(config, {"continuous": 7, "binary": 3})
  assert variable_groups(model, TASKS)[BACKBONE] == []
  optimizer = make_optimizer(config.optimizer, model, TASKS)
  variables = model.trainable_variables
  optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
  assert optimizer.optimizers[0].iterations.numpy() == 1
