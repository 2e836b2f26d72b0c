"""Tests of `tfrecords.tensorflow_environment`, each order of imports in a process of its own."""

import os
import subprocess
import sys

import pytest

SCRIPTS = {
  "ours first": "import tfrecords\nimport tensorflow as tf",
  "tensorflow first": "import tensorflow as tf\nimport tfrecords",
  "keras 3 bound": "import tensorflow as tf\ntf.keras.layers.Layer\nimport tfrecords",
  "keras 2 bound": (
    "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n"
    "import tensorflow as tf\ntf.keras.layers.Layer\nimport tfrecords"
  ),
}
CHECK = """
import os, tf_keras
assert tf.keras.layers.Layer is tf_keras.layers.Layer
print(os.environ["TF_USE_LEGACY_KERAS"], os.environ["TF_CPP_MIN_LOG_LEVEL"])
print(os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


@pytest.fixture(name="results", scope="module")
def results_fixture():
  """What came of each script; importing TensorFlow takes seconds, so they run side by side."""
  unset = ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS")
  environment = {name: value for name, value in os.environ.items() if name not in unset}
  environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
  environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
  running = {
    name: subprocess.Popen(
      [sys.executable, "-c", script + CHECK],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for name, script in SCRIPTS.items()
  }
  outputs = {name: process.communicate(timeout=300) for name, process in running.items()}
  return {name: (running[name].returncode, *outputs[name]) for name in SCRIPTS}


@pytest.mark.parametrize("name", ["ours first", "tensorflow first", "keras 2 bound"])
def test_these_orders_lead_to_keras_2(results, name):
  code, output, errors = results[name]
  assert code == 0, errors
  assert output.splitlines()[0] == "1 3"


def test_what_the_user_has_set_stays(results):
  assert results["ours first"][1].splitlines()[1] == "0"


def test_keras_3_in_use_is_refused(results):
  code, _, errors = results["keras 3 bound"]
  assert code == 1
  assert "ImportError: tf.keras is already bound to Keras 3" in errors
  assert "Import heavy_ranker or tfrecords before tensorflow" in errors
  assert "TF_USE_LEGACY_KERAS=1" in errors


def test_quiet_when_ours_is_first(results):
  assert results["ours first"][2] == ""
