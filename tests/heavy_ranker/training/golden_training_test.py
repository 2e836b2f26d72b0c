"""Training against the reference's numbers: losses, gradients, statistics and five updates."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import build_model, load_reference_weights
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from heavy_ranker.training.optimizer import make_optimizer
from tests.heavy_ranker.golden_numbers import Golden

TOLERANCE = 1e-6
# Dropout of rate 0 keeps PyTorch's numbering of the layers after it.
NO_DROPOUT = tuple(
  f"model.tasks.recap.engagement.{task}.mlp_config.dropout.rate=0.0"
  for task in ("is_negative_feedback_v2", "is_report_tweet_clicked")
)


def by_reference_name(model, state):
  """The model's variables by the reference's names for them: (variable, is transposed).

  Marks each array of the state dict with a number of its own and looks where it went.
  """
  before = [variable.numpy() for variable in model.variables]
  names = [name for name in state if not name.endswith(("tracked", "_value", ".ratio"))]
  marks = {name: np.full(state[name].shape, mark) for mark, name in enumerate(names)}
  load_reference_weights(model, marks)
  found = {}
  for variable, value in zip(model.variables, before):
    if variable.dtype.is_floating:
      name = names[int(variable.numpy().flat[0])]
      found[name] = (variable, name.endswith(".weight") and len(variable.shape) == 2)
    variable.assign(value)
  assert len(found) == len(names)
  return found


@pytest.fixture(scope="module", name="full")
def full_fixture():
  """One training step without an update: (golden, losses, gradients by name, variables by name)."""
  golden = Golden("a_full")
  config = golden.config(*NO_DROPOUT)
  ranker = build_model(config, golden.widths)
  load_reference_weights(ranker, golden.section("state"))
  variables = by_reference_name(ranker, golden.section("state"))
  batch = golden.batch("train_in", config.model.tasks)
  model = MultiTaskRanker(config, ranker, global_batch_size=32)
  with tf.GradientTape() as tape:
    losses = model.task_losses(batch, training=True)
    loss = tf.reduce_mean(losses)
  trainable = {name: x for name, x in variables.items() if x[0].trainable}
  found = tape.gradient(loss, [variable for variable, _ in trainable.values()])
  gradients = {
    name: gradient.numpy().T if transposed else gradient.numpy()
    for (name, (_, transposed)), gradient in zip(trainable.items(), found)
  }
  return golden, losses.numpy(), gradients, variables


def test_losses(full):
  golden, losses, _, _ = full
  np.testing.assert_allclose(losses, golden.arrays["train64/task_losses"], rtol=0, atol=TOLERANCE)
  assert abs(losses.mean() - golden.arrays["train64/loss"]) < TOLERANCE


def test_losses_are_not_those_of_the_misaligned_labels(full):
  golden, losses, _, _ = full
  assert np.abs(losses - golden.arrays["original_misaligned/task_losses"]).max() > 0.1


def test_every_gradient(full):
  golden, _, gradients, _ = full
  expected = golden.section("train64/grad")
  assert gradients.keys() == expected.keys()
  for name, gradient in gradients.items():
    np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=TOLERANCE, err_msg=name)


def test_running_statistics_after_the_step(full):
  golden, _, _, variables = full
  expected = golden.section("train/post_state")
  checked = 0
  for name, values in expected.items():
    if "running" in name:
      found = variables[name][0].numpy()
      np.testing.assert_allclose(found, values, rtol=0, atol=TOLERANCE, err_msg=name)
      checked += 1
  assert checked == 2 * (1 + 2 * 10)


def test_logits_of_training(full):
  golden = full[0]
  model = build_model(golden.config(*NO_DROPOUT), golden.widths)
  load_reference_weights(model, golden.section("state"))
  logits = model(golden.inputs("train_in"), training=True)["logits"].numpy()
  np.testing.assert_allclose(logits, golden.arrays["train64/logits"], rtol=0, atol=1e-5)


@pytest.fixture(scope="module", name="updates")
def updates_fixture():
  """(golden, the variables' values after each update by the reference's name)."""
  golden = Golden("c_optimizer")
  config = golden.config()
  ranker = build_model(config, golden.widths)
  state = golden.section("state")
  load_reference_weights(ranker, state)
  variables = by_reference_name(ranker, state)
  tasks = list(config.model.tasks)
  model = MultiTaskRanker(config, ranker, global_batch_size=16)
  model.compile(make_optimizer(config.optimizer, ranker, tasks))
  history = []
  for update in range(1, 1 + golden.facts["n_updates"]):
    model.train_step(golden.batch(f"batch{update}", tasks))
    history.append(
      {name: x.numpy().T if flip else x.numpy() for name, (x, flip) in variables.items()}
    )
  return golden, history


@pytest.mark.parametrize("update", range(5))
def test_weights_after_each_update(updates, update):
  golden, history = updates
  noisy = set(golden.facts["biases_feeding_batch_norm"])
  checked = 0
  for name, values in history[update].items():
    # A bias before a batch norm has a gradient of 0 plus noise, which Adam makes a whole step of.
    if name in noisy or ("_towers" in name and "running_mean" in name):
      continue
    expected = golden.arrays[f"debug64/after/{name}"][update]
    np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE, err_msg=name)
    checked += 1
  assert checked == len(history[update]) - 12 - 12


def test_the_groups_learn_at_rates_of_their_own(updates):
  golden, history = updates
  state = golden.section("state")
  rates = dict(zip(golden.facts["group_order"], golden.arrays["debug64/lr"][0]))
  for group, names in golden.facts["groups"].items():
    moved = [np.abs(history[0][name] - state[name]).max() for name in names]
    if rates[group] == 0:
      assert max(moved) == 0, group
    else:
      assert rates[group] * 0.9 < max(moved) < rates[group] * 1.01, group
