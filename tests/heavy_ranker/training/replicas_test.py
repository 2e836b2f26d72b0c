"""Two replicas compute what one computes on the whole batch, unless they are told not to."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.heavy_ranker import layer_helpers, numpy_twins
from tests.heavy_ranker.training import two_replicas

TOLERANCE = 1e-5
HALF = two_replicas.BATCH // 2


@pytest.fixture(scope="module", name="results")
def results_fixture(tmp_path_factory):
  path = tmp_path_factory.mktemp("replicas") / "results.npz"
  command = [sys.executable, "-m", "tests.heavy_ranker.training.two_replicas", str(path)]
  environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
  found = subprocess.run(command, env=environment, capture_output=True, text=True)
  assert found.returncode == 0, found.stderr
  with np.load(path) as arrays:
    return dict(arrays)


def section(results, prefix):
  start = len(prefix) + 1
  return {name[start:]: x for name, x in results.items() if name.startswith(f"{prefix}/")}


def test_every_logical_cpu_is_a_replica(results):
  assert (results["counts/one"], results["counts/two"]) == (1, 2)


def test_losses(results):
  one, two = results["one/losses"], results["two/losses"]
  assert one.shape == (two_replicas.STEPS, 1 + 4)
  np.testing.assert_allclose(two, one, rtol=0, atol=TOLERANCE)
  np.testing.assert_allclose(one[:, 0], one[:, 1:].mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("kind, count", [("gradients", 54), ("weights", 70)])
def test_gradients_and_weights_with_running_statistics(results, kind, count):
  one, two = section(results, f"one/{kind}"), section(results, f"two/{kind}")
  assert one.keys() == two.keys()
  assert len(one) == count
  for name, values in one.items():
    np.testing.assert_allclose(two[name], values, rtol=0, atol=TOLERANCE, err_msg=name)


def test_experts_and_learned_scales_of_the_losses(results):
  one, two = section(results, "scales/one"), section(results, "scales/two")
  assert one.keys() == two.keys()
  for kind, moved in (("gradients", 4), ("weights", 3)):
    scales = [x for name, x in section(one, kind).items() if "log_variance" in name]
    # In the small configuration, one task's learning rate is 0.
    assert (len(scales), np.count_nonzero(scales)) == (4, moved)
  for name, values in one.items():
    np.testing.assert_allclose(two[name], values, rtol=1e-5, atol=TOLERANCE, err_msg=name)


def test_statistics_apart_are_another_training(results):
  one, apart = results["one/losses"], results["two_apart/losses"]
  assert np.isfinite(apart).all()
  assert np.abs(apart[:, 0] - one[:, 0]).min() > 100 * TOLERANCE


def test_an_overflow_on_one_replica_leaves_the_update_out_on_all(results):
  np.testing.assert_array_equal(results["loss_scale/weights"], [[4, 4], [4, 4], [8, 8]])
  scales = [[2.0**15] * 2, [2.0**14] * 2, [2.0**14] * 2]
  np.testing.assert_array_equal(results["loss_scale/scales"], scales)


def norm_weights():
  """What `two_replicas.normalize` starts with."""
  layer = two_replicas.BatchNormalization(two_replicas.MOMENTUM)
  layer.build([None, 3])
  layer_helpers.randomize(layer)
  return layer_helpers.norm_weights(layer)


@pytest.mark.parametrize("run", ["norm/one", "norm/two"])
def test_synchronized_statistics_are_those_of_the_global_batch(results, run):
  found, weights = section(results, run), norm_weights()
  inputs = two_replicas.NORM_INPUTS
  expected = numpy_twins.batch_normalization(inputs, weights, training=True)
  np.testing.assert_allclose(found["outputs"], expected, atol=TOLERANCE)
  mean, variance = numpy_twins.moved_statistics(inputs, weights, two_replicas.MOMENTUM)
  np.testing.assert_allclose(found["mean"], mean, atol=TOLERANCE)
  np.testing.assert_allclose(found["variance"], variance, atol=TOLERANCE)


@pytest.mark.parametrize("run", ["renorm/one", "renorm/two"])
def test_renormalization_uses_the_statistics_of_the_global_batch_and_counts_once(results, run):
  found, weights = section(results, run), norm_weights()
  inputs = two_replicas.NORM_INPUTS
  expected = numpy_twins.batch_renormalization(inputs, weights, two_replicas.UPDATES)
  np.testing.assert_allclose(found["outputs"], expected, atol=TOLERANCE)
  mean, variance = numpy_twins.moved_statistics(inputs, weights, two_replicas.MOMENTUM)
  np.testing.assert_allclose(found["mean"], mean, atol=TOLERANCE)
  np.testing.assert_allclose(found["variance"], variance, atol=TOLERANCE)
  np.testing.assert_allclose(found["gradient"], results["renorm/one/gradient"], atol=TOLERANCE)
  assert found["updates"] == two_replicas.UPDATES + 1


def test_synchronized_gradients_flow_through_the_statistics_of_all_replicas(results):
  np.testing.assert_allclose(
    results["norm/two/gradient"], results["norm/one/gradient"], atol=TOLERANCE
  )
  apart = results["norm/two_apart/gradient"]
  assert np.abs(apart - results["norm/one/gradient"]).max() > 0.01


def test_apart_each_replica_normalizes_its_part_and_the_running_statistics_are_their_mean(results):
  found, weights = section(results, "norm/two_apart"), norm_weights()
  inputs = two_replicas.NORM_INPUTS
  parts = [inputs[:HALF], inputs[HALF:]]
  expected = [numpy_twins.batch_normalization(part, weights, training=True) for part in parts]
  np.testing.assert_allclose(found["outputs"], np.concatenate(expected), atol=TOLERANCE)
  moved = [numpy_twins.moved_statistics(part, weights, two_replicas.MOMENTUM) for part in parts]
  mean, variance = np.mean(moved, axis=0)
  np.testing.assert_allclose(found["mean"], mean, atol=TOLERANCE)
  np.testing.assert_allclose(found["variance"], variance, atol=TOLERANCE)
  # The parts lie 4 apart, which their own variances do not see.
  whole = numpy_twins.moved_statistics(inputs, weights, two_replicas.MOMENTUM)[1]
  assert (variance < whole - 0.3).all()


def test_replicas_draw_dropout_masks_of_their_own_and_count_a_step_once(results):
  masks = results["dropout/masks"].reshape(4, -1)
  assert results["dropout/calls"] == 2
  for index, one in enumerate(masks):
    for other in masks[:index]:
      assert 0.35 < (one != other).mean() < 0.65
