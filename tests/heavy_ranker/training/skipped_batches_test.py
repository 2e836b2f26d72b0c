"""Batches that are not finite: the end of a run with its evidence, or skipped without a trace."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker import train
from heavy_ranker.checkpoints import latest_checkpoint
from heavy_ranker.training import trainer
from heavy_ranker.training.multi_task_ranker import MultiTaskRanker
from heavy_ranker.training.run_log import log_path
from tests.heavy_ranker.small_run import TASKS, make_example, small_config
from tfrecords.errors import StorageError, TrainingError

BAZEL_SIZE = "large"
BATCH = 16
IN_ORDER = ("train_data.examples_shuffle_buffer_size=0", "training.checkpoint_every_n=2")
POISON = 7777.0


@pytest.fixture(autouse=True)
def poison_is_fatal(monkeypatch):
  """Makes losses and gradients NaN for batches that hold a record with POISON in it."""
  whole = MultiTaskRanker.losses_and_gradients

  def losses_and_gradients(self, inputs):
    losses, gradients = whole(self, inputs)
    is_bad = tf.reduce_any(tf.equal(inputs[0]["continuous"], POISON))
    factor = tf.where(is_bad, np.nan, 1.0)
    place = [variable.name for variable in self.trained].index("backbone/mlp/dense_0/kernel:0")
    gradients[place] = gradients[place] * factor
    losses["task_losses"] = losses["task_losses"] * tf.stack([1.0, factor, 1.0])
    return {**losses, "loss": losses["loss"] * factor}, gradients

  monkeypatch.setattr(MultiTaskRanker, "losses_and_gradients", losses_and_gradients)


def write(folder, poisoned=(), left_out=(), count=8 * BATCH):
  """Writes one shard whose batches `poisoned` hold a bad record each; without those left out."""
  folder.mkdir(parents=True)
  generator = np.random.default_rng(0)
  records = [make_example(generator) for _ in range(count)]
  for number in poisoned:
    records[number * BATCH + 3].features.feature["record.continuous"].float_list.value[1] = POISON
  path = folder / "part-0.gz"
  with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
    for index, record in enumerate(records):
      if index // BATCH not in left_out:
        writer.write(record.SerializeToString())
  return path


def config_of(tmp_path, name, data, *overrides):
  return small_config(
    tmp_path,
    *IN_ORDER,
    f"training.save_dir={tmp_path / name}",
    f"train_data.inputs={data}",
    *overrides,
  )


def stored(save_dir):
  checkpoint = latest_checkpoint(str(save_dir))
  return {
    name: tf.train.load_variable(checkpoint, name)
    for name, _ in tf.train.list_variables(checkpoint)
    if name.startswith(("weights/", "optimizer/", "step/"))
  }


def require_equal(one, other):
  assert one.keys() == other.keys()
  for name, value in one.items():
    np.testing.assert_array_equal(other[name], value, err_msg=name)


def without_speed(history):
  return [{k: v for k, v in entry.items() if k != "examples_per_second"} for entry in history]


def test_it_ends_the_run_with_everything_about_the_batch(tmp_path):
  path = write(tmp_path / "bad", poisoned=[3])
  with pytest.raises(TrainingError) as caught:
    train(config_of(tmp_path, "run", path))
  assert caught.value.exit_code == 6
  message = str(caught.value)
  assert message.startswith(f"step 4: the loss is not finite (loss, {TASKS[1]}), nor are the grad")
  evidence = tmp_path / "run" / "not_finite" / "step-4-stopped.json"
  for part in (
    "gradients (backbone)",
    f"records are finite by themselves ({path}: record 48 ...)",
    str(evidence),
    f"the last good one is {tmp_path / 'run' / 'checkpoints' / 'step-2'}.",
    "training.max_skipped_batches",
    "optimizer.gradient_clipping",
  ):
    assert part in message
  found = json.loads(evidence.read_text())
  assert found["step"] == 4
  assert found["losses"]["loss"] == found["losses"][TASKS[1]] == "nan"
  assert isinstance(found["losses"][TASKS[0]], float)
  assert found["gradient_norms"]["backbone"] == "nan"
  assert isinstance(found["gradient_norms"][TASKS[1]], float)
  assert found["records"] == {str(path): list(range(48, 64))}
  with np.load(evidence.with_suffix(".npz"), allow_pickle=False) as arrays:
    assert arrays["features/continuous"][3, 1] == POISON
    assert arrays["labels/" + TASKS[0]].shape == arrays["weights/" + TASKS[0]].shape == (BATCH,)
    assert arrays["places/position"].tolist() == list(range(48, 64))
  assert latest_checkpoint(str(tmp_path / "run")).endswith("step-2")
  assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.parametrize(
  "overrides",
  [
    [],
    ["optimizer.gradient_clipping={by_value: 0.01, by_group_norm: 0.02}"],
    ["training.gradient_accumulation=2", "training.num_train_steps=3"],
    ["model.task_loss_reduction=uncertainty"],
  ],
  ids=["plain", "clipped", "accumulated", "uncertainty"],
)
def test_a_skipped_batch_leaves_no_trace(tmp_path, overrides):
  bad, good = write(tmp_path / "bad", [1, 4]), write(tmp_path / "good", [], left_out=[1, 4])
  skipping = [*overrides, "training.max_skipped_batches=2"]
  history = train(config_of(tmp_path, "skipping", bad, *skipping))
  expected = train(config_of(tmp_path, "without", good, *overrides))
  assert without_speed(history) == without_speed(expected)
  require_equal(stored(tmp_path / "without"), stored(tmp_path / "skipping"))
  lines = Path(log_path(str(tmp_path / "skipping"))).read_text().splitlines()
  events = [line for line in lines if "event=not_finite" in line]
  assert [f"Skipped, {count} of 2" in event for count, event in enumerate(events, 1)] == [True] * 2
  assert "event=skipped_batches" in lines[-1]
  assert "2 of at most 2 batch(es)" in lines[-1]


def test_one_more_than_allowed_ends_the_run(tmp_path):
  path = write(tmp_path / "bad", [1, 2, 4])
  with pytest.raises(TrainingError, match=r"max_skipped_batches \(2\) are used up"):
    train(config_of(tmp_path, "run", path, "training.max_skipped_batches=2"))
  names = sorted(path.name for path in (tmp_path / "run" / "not_finite").glob("*.json"))
  assert names == ["step-2-1.json", "step-2-2.json", "step-3-stopped.json"]


def test_a_resumed_run_counts_what_was_skipped_before_its_checkpoint_only(tmp_path):
  path = write(tmp_path / "bad", [1, 3])
  for _ in range(2):  # The second time from step 2, and the batch of step 3 is no new one.
    with pytest.raises(TrainingError, match=r"step 3: .*max_skipped_batches \(1\) are used up"):
      train(config_of(tmp_path, "run", path, "training.max_skipped_batches=1"))
    assert latest_checkpoint(str(tmp_path / "run")).endswith("step-2")
  train(config_of(tmp_path, "run", path, "training.max_skipped_batches=2"))
  whole = config_of(tmp_path, "whole", path, "training.max_skipped_batches=2")
  train(whole)
  require_equal(stored(tmp_path / "whole"), stored(tmp_path / "run"))


def test_records_without_a_finite_outcome_are_named(tmp_path, monkeypatch):
  path = write(tmp_path / "bad", [2])

  class Poisoned(trainer.InputPipeline):
    def __init__(self, *arguments, **options):
      super().__init__(*arguments, **options)
      self.dataset = self.dataset.map(_without_weight)

  def _without_weight(features, labels, weights, places):
    is_bad = tf.reduce_any(tf.equal(features["continuous"], POISON), axis=1)
    weights = {name: tf.where(is_bad, np.inf, values) for name, values in weights.items()}
    return features, labels, weights, places

  monkeypatch.setattr(trainer, "InputPipeline", Poisoned)
  with pytest.raises(TrainingError) as caught:
    train(config_of(tmp_path, "run", path))
  expected = f"1 of the batch's 16 records are not finite by themselves: {path}: record 35 (weight "
  assert expected in str(caught.value)


def test_evidence_that_cannot_be_written_is_no_other_error(tmp_path, monkeypatch):
  path = write(tmp_path / "bad", [1])

  def full(*arguments):
    raise StorageError("x.json: the evidence cannot be written: disk full")

  monkeypatch.setattr("heavy_ranker.training.skipped_batches.write_evidence", full)
  with pytest.raises(TrainingError, match="step 2: .* evidence cannot be written: disk full"):
    train(config_of(tmp_path, "run", path))


def test_weights_that_are_not_finite_are_no_checkpoint(tmp_path):
  path = write(tmp_path / "good")
  options = [
    "optimizer.multi_task_learning_rates=null",
    # Infinite as a float32: the first update is the end of what it touches.
    "optimizer.single_task_learning_rate={constant: 1.0e+39}",
    "training.checkpoint_every_n=1",
  ]
  with pytest.raises(TrainingError, match=r"step 1: \d+ variable.s. are not finite .*batch_norm"):
    train(config_of(tmp_path, "run", path, *options))
  assert latest_checkpoint(str(tmp_path / "run")) is None


def test_gradient_norms_are_logged_if_asked_for(tmp_path):
  path = write(tmp_path / "good")
  history = train(config_of(tmp_path, "run", path, "training.log_gradient_norms=true"))
  norms = {f"gradient_norm/{group}" for group in (*TASKS, "backbone")}
  assert all(norms < set(entry) for entry in history)
  assert all(entry[name] > 0 for entry in history for name in norms)
  assert "gradient_norm/backbone=" in Path(log_path(str(tmp_path / "run"))).read_text()
