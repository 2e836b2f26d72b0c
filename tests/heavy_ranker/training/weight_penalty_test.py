"""Tests of `heavy_ranker.training.weight_penalty`: which weights cost what."""

import numpy as np
import pytest

from heavy_ranker import build_model
from heavy_ranker.training.weight_penalty import WeightPenalty
from tests.heavy_ranker.example_config import WIDTHS, build_config
from tests.heavy_ranker.layer_helpers import randomize

BAZEL_SIZE = "medium"
_TABLE = {"name": "position", "index": 1, "num_embeddings": 3, "embedding_dim": 2, "l2": 0.2}


def build(*changes):
  config = build_config(changes)
  ranker = build_model(config, {**WIDTHS, "discrete": 2})
  randomize(ranker)
  return ranker, WeightPenalty(config.model, ranker)


def squares(variables):
  return sum(np.square(variable.numpy()).sum() for variable in variables)


def kernels(ranker, layer):
  found = [each for each in ranker.get_layer(layer).trainable_variables if "kernel" in each.name]
  assert found
  return found


def test_nothing_costs_nothing():
  _, penalty = build()
  assert penalty().numpy() == 0.0


def test_kernels_of_backbone_and_towers_but_no_biases_norms_or_maps():
  tower = "model", "tasks", "area.replies"
  ranker, penalty = build(("model", "backbone", "l2", 0.5), (*tower, "l2", 0.1))
  expected = 0.5 * squares(kernels(ranker, "backbone"))
  expected += 0.1 * squares(kernels(ranker, "tower.area.replies"))
  assert penalty().numpy() == pytest.approx(expected, rel=1e-5)


def test_tables_and_the_wide_part_cost_every_row():
  ranker, penalty = build(
    ("model", "small_embeddings", {"tables": [_TABLE]}),
    ("model", "wide_config", {"l2": 0.3, "tables": [{"index": 0, "num_embeddings": 4, "l2": 0.7}]}),
  )
  wide = ranker.get_layer("wide")
  expected = 0.2 * squares([ranker.get_layer("small_embedding.position").embeddings])
  expected += 0.3 * squares([wide.kernel]) + 0.7 * squares(wide.tables)
  assert penalty().numpy() == pytest.approx(expected, rel=1e-5)
