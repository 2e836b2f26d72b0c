"""Tests of `heavy_ranker.model`; the numbers of the reference are in golden_model_test.py."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from heavy_ranker import build_model
from heavy_ranker.features import EMBEDDINGS, input_names
from heavy_ranker.layers.tower import tower_name
from tests.heavy_ranker import example_config, layer_helpers, numpy_twins
from tfrecords.errors import ConfigError

SHARING = ("share_all", "share_none", "share_partial")
OUTPUTS = {"logits", "probabilities", "calibrated_probabilities", "score"}


def sharing_config(multi_task_type, *changes):
  changes = [("model", "multi_task_type", multi_task_type), *changes]
  if multi_task_type == "share_none":
    changes.append(("model", "backbone", None))
  return example_config.build_config(changes)


def make(config, widths=None):
  model = build_model(config, example_config.WIDTHS if widths is None else widths)
  for index, layer in enumerate(model.layers):
    layer_helpers.randomize(layer, seed=index)
  return model


def make_inputs(widths=None, batch=11):
  random = np.random.default_rng(0)
  widths = example_config.WIDTHS if widths is None else widths
  inputs = {name: random.normal(size=(batch, width)) for name, width in widths.items()}
  inputs["continuous"] *= 50
  inputs["binary"] = np.round(np.abs(inputs["binary"]))
  return {name: values.astype(np.float32) for name, values in inputs.items()}


def twin(model, config, inputs):
  """The whole model in NumPy, with the model's weights."""
  section = config.model
  featurization = model.get_layer("featurization")
  dense = [
    inputs[name] for name in ("continuous", *section.featurization_config.feature_names_to_concat)
  ]
  norms = [
    layer_helpers.norm_weights(norm)
    for norm in (featurization.batch_norm, featurization.layer_norm)
  ]
  parts = [numpy_twins.double_norm_log(dense, *norms, clip_magnitude=5.0, epsilon=0.0)]
  for name in ("user_embedding", "user_eng_embedding", "author_embedding"):
    if name in inputs:
      norm = model.get_layer(f"{name}_norm").layer_norm
      parts.append(numpy_twins.embedding_norm(inputs[name], layer_helpers.norm_weights(norm)))
  shared = features = np.concatenate(parts, axis=1)
  if section.multi_task_type != "share_none":
    backbone = model.get_layer("backbone")
    blocks = [layer_helpers.mask_block_weights(block) for block in backbone.blocks]
    mlp = layer_helpers.mlp_weights(backbone.mlp)
    shared = numpy_twins.mask_net(features, blocks, True, mlp, final_activation=True)
  if section.multi_task_type == "share_partial":
    shared = np.concatenate([features, shared], axis=1)
  logits = []
  for task in section.tasks:
    tower = model.get_layer(tower_name(task))
    logit = numpy_twins.mlp(shared, layer_helpers.mlp_weights(tower.body))
    if tower.affine_map is not None:
      scale, bias = tower.affine_map.scale.numpy()[0, 0], tower.affine_map.bias.numpy()[0]
      logit = numpy_twins.affine_map(logit, scale, bias)
    logits.append(logit)
  return np.concatenate(logits, axis=1)


@pytest.mark.parametrize("multi_task_type", SHARING)
def test_equals_numpy(multi_task_type):
  config = sharing_config(multi_task_type, ("train_data", "sampling_correction", "calibration"))
  model, inputs = make(config), make_inputs()
  outputs = {name: values.numpy() for name, values in model(inputs).items()}
  logits = twin(model, config, inputs)
  probabilities = numpy_twins.sigmoid(logits)
  ratios = np.array([1 / 0.9, 1.0, 0.01 / 0.8, 0.5])
  calibrated = numpy_twins.calibrate(probabilities, ratios)
  score = numpy_twins.score(calibrated, [0.5, 3.0, -20.0, 3.0], groups=[[1, 3]])
  np.testing.assert_allclose(outputs["logits"], logits, atol=5e-5)
  np.testing.assert_allclose(outputs["probabilities"], probabilities, atol=1e-5)
  np.testing.assert_allclose(outputs["calibrated_probabilities"], calibrated, atol=1e-5)
  np.testing.assert_allclose(outputs["score"], score, atol=1e-4)


@pytest.mark.parametrize("multi_task_type", SHARING)
def test_a_function_of_unknown_batch_size_gives_what_eager_gives(multi_task_type):
  model, inputs = make(sharing_config(multi_task_type)), make_inputs()
  spec = {name: tf.TensorSpec([None, width]) for name, width in example_config.WIDTHS.items()}
  function = tf.function(lambda x: model(x), input_signature=[spec], autograph=False)
  eager, graph = model(inputs), function(inputs)
  for name in OUTPUTS:
    np.testing.assert_allclose(graph[name], eager[name], rtol=1e-5, atol=1e-6)
  for size in (1, 0):
    part = function({name: values[:size] for name, values in inputs.items()})
    for name in OUTPUTS:
      np.testing.assert_allclose(part[name], eager[name][:size], rtol=1e-4, atol=1e-5)


def test_inputs_and_outputs_are_dicts_by_name():
  model = make(example_config.build_config())
  assert isinstance(model, keras.Model)
  assert {name: tuple(x.shape) for name, x in model.input.items()} == {
    name: (None, width) for name, width in example_config.WIDTHS.items()
  }
  assert {x.dtype for x in model.input.values()} == {tf.float32}
  shapes = {name: tuple(x.shape) for name, x in model.output.items()}
  assert shapes == {
    "logits": (None, 4),
    "probabilities": (None, 4),
    "calibrated_probabilities": (None, 4),
    "score": (None,),
  }
  assert {x.dtype for x in model.output.values()} == {tf.float32}


def test_columns_stand_in_the_models_order():
  config = example_config.build_config()
  model, inputs = make(config), make_inputs()
  before = model(inputs)["logits"].numpy()
  for index, task in enumerate(example_config.TASKS):
    bias = model.get_layer(tower_name(task)).body.dense_layers[-1].bias
    bias.assign_add([1.0])
    after = model(inputs)["logits"].numpy()
    changed = np.abs(after - before).max(axis=0) > 0.5
    assert changed.tolist() == [position == index for position in range(4)]
    bias.assign_sub([1.0])


def test_without_calibration_the_score_is_of_the_raw_probabilities():
  outputs = make(example_config.build_config())(make_inputs())
  np.testing.assert_allclose(
    outputs["calibrated_probabilities"], outputs["probabilities"], atol=1e-6
  )


@pytest.mark.parametrize("missing", [(), ("user_eng_embedding",), EMBEDDINGS], ids=str)
def test_has_the_embeddings_there_are(missing):
  config = example_config.build_config()
  widths = {name: x for name, x in example_config.WIDTHS.items() if name not in missing}
  model, inputs = make(config, widths), make_inputs(widths)
  assert set(model.input) == set(widths)
  width = model.get_layer("backbone").blocks[0].aggregation.kernel.shape[0]
  assert width == sum(widths.values())
  np.testing.assert_allclose(model(inputs)["logits"], twin(model, config, inputs), atol=5e-5)


def test_takes_no_input_that_it_has_no_use_for():
  model = make(example_config.build_config(), {**example_config.WIDTHS, "meta__user_id": 1})
  assert "meta__user_id" not in model.input


def test_joins_the_named_features():
  concat = ("model", "featurization_config", "feature_names_to_concat")
  config = example_config.build_config([(*concat, ["other", "binary"])])
  widths = {**example_config.WIDTHS, "other": 2}
  model, inputs = make(config, widths), make_inputs(widths)
  np.testing.assert_allclose(model(inputs)["logits"], twin(model, config, inputs), atol=5e-5)
  assert input_names(config, widths) == ("continuous", "other", "binary", *EMBEDDINGS)


@pytest.mark.parametrize("name", ["continuous", "binary"])
def test_a_missing_input_is_named(name):
  widths = {key: x for key, x in example_config.WIDTHS.items() if key != name}
  with pytest.raises(ConfigError, match=rf"the input '{name}' is needed and missing; found: .*emb"):
    build_model(example_config.build_config(), widths)


def test_non_finite_inputs_give_finite_outputs_and_gradients():
  model, inputs = make(example_config.build_config()), make_inputs()
  for values in inputs.values():
    values[0], values[1], values[2], values[3] = np.nan, np.inf, -np.inf, 0.0
    values[4], values[5], values[6, :2] = 3.4e38, -3.4e38, [np.nan, np.inf]
  with tf.GradientTape() as tape:
    outputs = model(inputs, training=True)
    total = tf.reduce_sum(outputs["logits"] ** 2)
  for values in outputs.values():
    assert np.isfinite(values).all()
  for gradient in tape.gradient(total, model.trainable_variables):
    assert np.isfinite(gradient).all()
  for values in model(inputs).values():
    assert np.isfinite(values).all()


def weights_of(*changes):
  model = build_model(example_config.build_config(changes), example_config.WIDTHS)
  return {variable.name: variable.numpy() for variable in model.variables}


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
  first = weights_of()
  tf.random.set_seed(17)
  second = weights_of()
  assert first.keys() == second.keys()
  for name, values in first.items():
    np.testing.assert_array_equal(values, second[name])


def test_another_seed_gives_other_kernels():
  first, second = weights_of(), weights_of(("training", "seed", 4))
  kernels = [name for name in first if "kernel" in name]
  assert len(kernels) == 3 * 2 + 1 + 3 * 3 + 1
  for name in kernels:
    assert (first[name] != second[name]).any(), name


def test_two_layers_of_one_shape_start_differently():
  kernels = [values for name, values in weights_of().items() if "kernel" in name]
  for index, one in enumerate(kernels):
    for other in kernels[:index]:
      assert one.shape != other.shape or (one != other).any()


def test_a_task_more_leaves_the_others_initial_weights_alone():
  mapping = example_config.content()
  del mapping["model"]["tasks"]["likes"]
  rates = mapping["optimizer"]["multi_task_learning_rates"]["tower_learning_rates"]
  del rates["likes"], mapping["score"]["weights"]["likes"]
  model = build_model(example_config.parse(mapping), example_config.WIDTHS)
  expected = weights_of()
  for variable in model.variables:
    np.testing.assert_array_equal(variable, expected[variable.name])
