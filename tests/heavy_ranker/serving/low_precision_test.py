"""The ranker in fewer bits equals the ranker with weights that NumPy has rounded."""

import json

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, make_dataset
from heavy_ranker.config.export_precision import ExportPrecision
from heavy_ranker.serving.low_precision import LowPrecisionRanker
from tests.heavy_ranker import id_run
from tests.heavy_ranker.small_run import small_config
from tfrecords.errors import ConfigError

_MLP = {"layer_sizes": [6], "final_layer_activation": True}
_BACKBONES = {
  "mixture": {
    "mmoe_config": {"num_experts": 3, "expert": {"mlp_config": _MLP}, "gate_layer_sizes": [4]}
  },
  "cross_net": {"dcn_config": {"poly_degree": 2, "projection_dim": 3, "output_mlp": _MLP}},
}
_MIN_ELEMENTS = 12


def rounded(values, precision, by_row):
  if precision == "int8":
    scales = np.abs(values).max(axis=1 if by_row else 0, keepdims=True) / 127
    return np.round(values / scales) * scales
  bits = values.view(np.uint32)
  return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def run(ranker, features):
  outputs = tf.function(lambda inputs: ranker(inputs, training=False), autograph=False)(
    {name: features[name] for name in ranker.input}
  )
  return {name: tensor.numpy() for name, tensor in outputs.items()}


def check(config, precision):
  """Compares, and returns the names of the stored matrices."""
  ranker = build_model(config)
  lowered = LowPrecisionRanker(
    ranker, ExportPrecision(precision=precision, min_elements=_MIN_ELEMENTS)
  )
  features, _, _ = next(iter(make_dataset(config.validation_data["validation"], "evaluate")))
  before, found = run(ranker, features), run(lowered, features)
  for variable in ranker.variables:
    if variable.name in lowered.matrices:
      by_row = "embeddings" in variable.name
      variable.assign(rounded(variable.numpy(), precision, by_row))
  expected = run(ranker, features)
  assert set(found) == set(expected)
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
  assert np.abs(found["logits"] - before["logits"]).max() > 1e-5
  return set(lowered.matrices), ranker, lowered


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_with_embedding_tables(precision, tmp_path):
  names, ranker, lowered = check(id_run.id_config(tmp_path), precision)
  large = {
    variable.name
    for variable in ranker.variables
    if variable.shape.rank == 2 and variable.shape.num_elements() >= _MIN_ELEMENTS
  }
  # The position is not looked up outside training.
  assert names == large - {"position_debias/positions/embeddings:0"}
  assert {
    "large_embedding.meta__author_id/listed_embeddings:0",
    "large_embedding.tags/hashed_embeddings:0",
  } <= names
  kept = [variable for variable in ranker.variables if variable.name not in names]
  assert [id(variable) for variable in lowered.variables[: len(kept)]] == list(map(id, kept))


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("name", _BACKBONES)
def test_with_another_backbone(name, precision, tmp_path):
  config = small_config(tmp_path, f"model.backbone={json.dumps(_BACKBONES[name])}")
  names, _, _ = check(config, precision)
  wanted = {"mixture": "gates/", "cross_net": "cross_1/"}[name]
  assert any(wanted in each for each in names)


def test_no_matrix_is_large_enough(tmp_path):
  ranker = build_model(small_config(tmp_path))
  with pytest.raises(ConfigError, match="without a matrix of at least export.min_elements = 4096"):
    LowPrecisionRanker(ranker, ExportPrecision(precision="int8"))
