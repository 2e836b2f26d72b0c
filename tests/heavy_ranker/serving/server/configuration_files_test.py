"""The files tensorflow_model_server reads: model config, batching parameters, monitoring config."""

import pytest

from heavy_ranker.serving.server.batching_parameters import read_batching_parameters
from heavy_ranker.serving.server.model_config import VersionPolicy, read_model_config
from heavy_ranker.serving.server.settings import DEFAULT_METRICS_PATH, ServerSettings
from tfrecords.errors import ConfigError, StorageError

_MODELS = """
# Two models.
model_config_list {
  config {
    name: "ranker" base_path: "/models/ranker" model_platform: "tensorflow"
    model_version_policy { specific { versions: 7 versions: 3 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 7 }
  }
  config { name: "other" base_path: "relative" model_version_policy { all {} } }
}
"""


@pytest.fixture
def write(tmp_path):
  def write_file(content):
    path = tmp_path / "some.config"
    path.write_text(content)
    return str(path)

  return write_file


def test_models_policies_and_labels(write, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  ranker, other = read_model_config(write(_MODELS))
  assert (ranker.name, ranker.base_path) == ("ranker", "/models/ranker")
  assert ranker.labels == {"stable": 3, "canary": 7}
  assert other.base_path == str(tmp_path / "relative")
  assert ranker.policy.choose([1, 3, 5, 7]) == (3, 7)
  assert other.policy.choose([2, 1]) == (1, 2)


@pytest.mark.parametrize(
  "policy, expected",
  [
    (VersionPolicy(), (12,)),
    (VersionPolicy(latest=2), (9, 12)),
    (VersionPolicy(latest=5), (1, 9, 12)),
    (VersionPolicy(latest=0), (1, 9, 12)),
    (VersionPolicy(specific=(9, 99)), (9,)),
    (VersionPolicy(specific=(99,)), ()),
  ],
)
def test_policies_choose(policy, expected):
  assert policy.choose([9, 1, 12]) == expected


_CONFIG = "model_config_list {{ config {{ {} }} }}"


@pytest.mark.parametrize(
  "content, words",
  [
    ("", "model_config_list"),
    ("model_config_list {}", "no config"),
    ("nonsense", "nonsense"),
    ("\0\1", "some.config"),
    (_CONFIG.format('name: "a" base_pth: "b"'), "base_pth"),
    (_CONFIG.format('name: "a"'), "config[0].base_path"),
    (_CONFIG.format('base_path: "a"'), "config[0].name"),
    (_CONFIG.format('name: "a/b" base_path: "c"'), "without /"),
    (_CONFIG.format('name: "a" base_path: "b" model_platform: "x"'), "model_platform"),
    (_CONFIG.format('name: "a" base_path: "$NO_SUCH/b"'), "NO_SUCH"),
    (_CONFIG.format('name: "a" base_path: "b" model_version_policy { specific {} }'), "versions"),
    (
      _CONFIG.format(
        'name: "a" base_path: "b" model_version_policy { specific { versions: 1 } } '
        'version_labels { key: "c" value: 2 }'
      ),
      "'c' stands for version 2",
    ),
    (_CONFIG.format('name: "a" base_path: "b" } config { name: "a" base_path: "c"'), "'a' twice"),
  ],
)
def test_a_bad_model_config_names_the_file_and_the_field(write, content, words):
  with pytest.raises(ConfigError) as found:
    read_model_config(write(content))
  assert "some.config" in str(found.value) and words in str(found.value)


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(StorageError, match="--model_config_file.*none.config"):
    read_model_config(str(tmp_path / "none.config"))


def test_batching_parameters(write):
  path = write(
    "max_batch_size { value: 128 } batch_timeout_micros { value: 500 } "
    "max_enqueued_batches { value: 7 } num_batch_threads { value: 3 } "
    'thread_pool_name { value: "batches" } allowed_batch_sizes: 16 allowed_batch_sizes: 128'
  )
  found = read_batching_parameters(path)
  assert (found.max_batch_size, found.batch_timeout_micros) == (128, 500)
  assert (found.max_enqueued_batches, found.num_batch_threads) == (7, 3)
  assert [found.padded_size(size) for size in (1, 16, 17, 200)] == [16, 16, 128, 200]
  assert read_batching_parameters("").max_batch_size == 1000


@pytest.mark.parametrize(
  "content, words",
  [
    ("max_batch_size: 128", "max_batch_size"),
    ("max_batch_size { value: 0 }", "max_batch_size: found 0, allowed: 1 to"),
    ("batch_timeout_micros { value: -1 }", "batch_timeout_micros: found -1"),
    ("num_batch_threads { value: 0 }", "num_batch_threads"),
    ("num_batch_threads { value: 1000000 }", "num_batch_threads: found 1000000"),
    ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
    ("allowed_batch_sizes: 8", "max_batch_size (1000)"),
    ("allowed_batch_sizes: 1000 allowed_batch_sizes: 1000", "ascending"),
    ("max_batchsize { value: 1 }", "max_batchsize"),
  ],
)
def test_bad_batching_parameters_name_the_file_and_the_field(write, content, words):
  with pytest.raises(ConfigError) as found:
    read_batching_parameters(write(content))
  assert "some.config" in str(found.value) and words in str(found.value)


@pytest.mark.parametrize(
  "content, expected",
  [
    ("prometheus_config { enable: true }", DEFAULT_METRICS_PATH),
    ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
    ("prometheus_config { enable: false }", None),
    ("", None),
  ],
)
def test_monitoring_config_says_where_the_metrics_are(write, content, expected):
  assert ServerSettings(monitoring_config_file=write(content)).metrics_path == expected


def test_without_a_monitoring_config_the_metrics_are_at_their_usual_place():
  assert ServerSettings().metrics_path == DEFAULT_METRICS_PATH


@pytest.mark.parametrize(
  "keywords, words",
  [
    ({"port": 70000}, "--port: found 70000"),
    ({"port": 0, "rest_api_port": 0}, "one of them 0"),
    ({"port": 8501}, "two ports"),
    ({"host": ""}, "--host"),
    ({"file_system_poll_wait_seconds": float("inf")}, "--file_system_poll_wait_seconds"),
    ({"file_system_poll_wait_seconds": float("nan")}, "--file_system_poll_wait_seconds"),
    ({"max_examples_a_request": 0}, "--max_examples_a_request"),
    ({"batching_parameters_file": "x"}, "--enable_batching"),
    ({"model_config_file": "x", "model_base_path": "y"}, "one of the two"),
  ],
)
def test_settings_that_contradict_themselves(keywords, words):
  with pytest.raises(ConfigError) as found:
    ServerSettings(**keywords)
  assert words in str(found.value)


def test_a_metrics_path_has_to_be_one(write):
  path = write('prometheus_config { enable: true path: "metrics" }')
  with pytest.raises(ConfigError, match="prometheus_config.path: found 'metrics'"):
    ServerSettings(monitoring_config_file=path)
