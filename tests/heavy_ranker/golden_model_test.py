"""The model against the reference's numbers, weight by weight and output by output."""

import numpy as np
import pytest

from heavy_ranker import build_model, load_reference_weights
from tests.heavy_ranker.golden_numbers import Golden

TOLERANCE = 1e-5
CALIBRATION = "train_data.sampling_correction=calibration"


@pytest.fixture(scope="module", name="golden")
def golden_fixture():
  return Golden("a_full")


@pytest.fixture(scope="module", name="model")
def model_fixture(golden):
  model = build_model(golden.config(CALIBRATION), golden.widths)
  load_reference_weights(model, golden.section("state"))
  return model


@pytest.fixture(scope="module", name="outputs")
def outputs_fixture(golden, model):
  return {name: x.numpy() for name, x in model(golden.inputs("eval_in")).items()}


def assert_equal_where_finite(actual, expected, tolerance=TOLERANCE):
  finite = np.isfinite(expected)
  assert finite.any()
  assert np.isfinite(actual).all()
  np.testing.assert_allclose(actual[finite], expected[finite], rtol=0, atol=tolerance)


def test_number_of_parameters(golden, model):
  count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
  assert count == golden.facts["n_params"] == 17_792


def test_task_order(golden):
  assert list(golden.config().model.tasks) == golden.facts["model_task_order"]


@pytest.mark.parametrize("name", ["logits", "probabilities", "calibrated_probabilities"])
def test_outputs(golden, outputs, name):
  assert_equal_where_finite(outputs[name], golden.arrays[f"eval64/{name}"])


def test_the_reference_is_finite_on_nearly_every_row(golden):
  finite = np.isfinite(golden.arrays["eval64/logits"]).all(axis=1)
  assert finite.sum() >= 22


def test_score_is_of_the_calibrated_probabilities(golden, outputs):
  p = golden.arrays["eval64/calibrated_probabilities"].T
  expected = 0.5 * p[0] + 11 * np.maximum(p[1], p[2]) - 74 * p[3] + 12 * p[4] + 27 * p[5]
  expected += 75 * p[6] - 369 * p[7] + p[8] + 0.005 * p[9]
  assert_equal_where_finite(outputs["score"], expected, tolerance=2e-3)


def test_without_recalibration_the_probabilities_stay_raw(golden):
  model = build_model(golden.config(), golden.widths)
  load_reference_weights(model, golden.section("state"))
  outputs = model(golden.inputs("eval_in"))
  expected = golden.arrays["eval64/probabilities"]
  assert_equal_where_finite(outputs["calibrated_probabilities"].numpy(), expected)


def test_intermediate_activations(golden, model):
  inputs = golden.inputs("eval_in")
  featurized = model.get_layer("featurization")([inputs["continuous"], inputs["binary"]])
  assert_equal_where_finite(featurized.numpy(), golden.arrays["eval/mid/preprocessed"])
  names = ("user_embedding", "user_eng_embedding", "author_embedding")
  embeddings = [model.get_layer(f"{name}_norm")(inputs[name]).numpy() for name in names]
  features = np.concatenate([featurized, *embeddings], axis=1)
  backbone = model.get_layer("backbone")
  for index, block in enumerate(backbone.blocks):
    expected = golden.arrays[f"eval/mid/mask_block_{index}"]
    assert_equal_where_finite(block((features, features)).numpy(), expected)
  assert_equal_where_finite(backbone(features).numpy(), golden.arrays["eval64/backbone"])


def test_nan_in_an_embedding_counts_as_0(golden, model):
  inputs = golden.inputs("nanemb_in")
  assert np.isnan(inputs["user_embedding"][2]).any()
  assert np.isnan(golden.arrays["nanemb64/logits"][2]).all()
  outputs = {name: values.numpy() for name, values in model(inputs).items()}
  for name in ("logits", "probabilities", "calibrated_probabilities"):
    assert_equal_where_finite(outputs[name], golden.arrays[f"nanemb64/{name}"])
  assert np.isfinite(outputs["score"]).all()
  inputs["user_embedding"] = np.nan_to_num(inputs["user_embedding"])
  np.testing.assert_array_equal(model(inputs)["logits"], outputs["logits"])
