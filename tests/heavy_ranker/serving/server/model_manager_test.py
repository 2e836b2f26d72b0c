"""Versions come, go and fail while requests go on."""

import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from heavy_ranker.serving.server import model_versions
from heavy_ranker.serving.server.model_manager import ModelManager
from heavy_ranker.serving.server.request_errors import Code, RequestError
from heavy_ranker.serving.server.settings import ServerSettings
from heavy_ranker.serving.server.telemetry import Telemetry
from heavy_ranker.serving.server.version_status import State
from tests.heavy_ranker.serving.server.running_server import predict_request, tiny_inputs
from tests.heavy_ranker.serving.server.tiny_model import write_broken_version, write_version
from tfrecords.errors import ConfigError, StorageError

BAZEL_SIZE = "large"
_NAME = "heavy_ranker"


@pytest.fixture
def base(tmp_path):
  folder = tmp_path / "saved"
  folder.mkdir()
  write_version(folder, 1, factor=1)
  return folder


@pytest.fixture
def make_manager(base):
  """Starts managers that look for versions only when a test says so."""
  made = []

  def make(**settings):
    if "model_config_file" not in settings:
      settings = {"model_base_path": str(base), **settings}
    made.append(ModelManager(ServerSettings(file_system_poll_wait_seconds=0, **settings)))
    made[-1].start()
    return made[-1]

  yield make
  for manager in made:
    manager.stop()


def _factor(manager, **spec):
  """Returns what tells the version that answers."""
  with manager.resolve(_NAME, **spec) as version:
    outputs = version.run("", {"x": np.ones((1, 3), np.float32), "ids": np.zeros(1, np.int64)})
  return outputs["y"][0, 0]


def _states(manager):
  return {status.version: status.state for status in manager.status(_NAME)}


def test_a_new_version_takes_over(make_manager, base):
  manager = make_manager()
  assert _factor(manager) == 1
  write_version(base, 2, factor=2)
  assert _factor(manager) == 1
  manager.poll_once()
  assert _factor(manager) == 2
  assert _states(manager) == {1: State.END, 2: State.AVAILABLE}
  with pytest.raises(RequestError, match="no version 1; served: 2"), manager.resolve(_NAME, 1):
    pass


def test_the_poll_finds_it_without_being_asked(base):
  settings = ServerSettings(model_base_path=str(base), file_system_poll_wait_seconds=0.01)
  manager = ModelManager(settings)
  manager.start()
  write_version(base, 2, factor=2)
  come = threading.Event()
  while _factor(manager) != 2:
    assert not come.wait(0.01)
  manager.stop()


def test_an_old_version_answers_the_requests_it_has(make_manager, base):
  manager = make_manager()
  with manager.resolve(_NAME) as old:
    write_version(base, 2, factor=2)
    manager.poll_once()
    assert _states(manager) == {1: State.UNLOADING, 2: State.AVAILABLE}
    assert old.run("", tiny_inputs())["y"][0, 1] == 1
  assert _states(manager) == {1: State.END, 2: State.AVAILABLE}
  with pytest.raises(RequestError, match="no longer served"):
    old.run("", tiny_inputs())


def test_a_broken_version_is_left_out_until_it_is_mended(make_manager, base):
  manager = make_manager()
  broken = write_broken_version(base, 2)
  manager.poll_once()
  assert _factor(manager) == 1
  assert _states(manager) == {1: State.AVAILABLE, 2: State.END}
  assert str(broken) in manager.status(_NAME, 2)[0].error
  with pytest.raises(RequestError, match="no version 2 .*cannot be served.*; served: 1"):
    _factor(manager, version=2)
  shutil.rmtree(broken)
  write_version(base, 2, factor=2)
  manager.poll_once()
  assert _factor(manager) == 2


def test_a_broken_version_is_not_loaded_again_and_again(make_manager, base, monkeypatch):
  manager = make_manager()
  write_broken_version(base, 2)
  errors = []
  monkeypatch.setattr(model_versions.logging, "error", lambda *words: errors.append(words))
  for _ in range(3):
    manager.poll_once()
  assert len(errors) == 1


def test_at_the_start_the_newest_that_can_be_loaded_is_served(make_manager, base):
  write_broken_version(base, 2)
  assert _factor(make_manager()) == 1


def test_only_folders_with_numbers_are_versions(make_manager, base):
  for name in (".unfinished-7", "7.tmp", "-7", "v7", "7 ", "٧"):
    shutil.copytree(base / "1", base / name)
  (base / "9").write_text("a file")
  manager = make_manager()
  assert _states(manager) == {1: State.AVAILABLE}


def test_what_is_served_stays_when_the_folder_goes(make_manager, base):
  manager = make_manager()
  shutil.rmtree(base / "1")
  manager.poll_once()
  assert _factor(manager) == 1
  base.rmdir()
  manager.poll_once()
  assert _factor(manager) == 1


def test_removing_the_newest_version_goes_back(make_manager, base):
  write_version(base, 2, factor=2)
  manager = make_manager()
  shutil.rmtree(base / "2")
  manager.poll_once()
  assert _factor(manager) == 1
  assert _states(manager) == {1: State.AVAILABLE, 2: State.END}


def _config(base, more="", name=_NAME):
  text = f'model_config_list {{ config {{ name: "{name}" base_path: "{base}" {more} }} }}'
  return text, _parse(text)


def _parse(text):
  from google.protobuf import text_format

  return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


@pytest.mark.parametrize(
  "policy, expected",
  [
    ("", {3}),
    ("latest { num_versions: 2 }", {2, 3}),
    ("all {}", {1, 2, 3}),
    ("specific { versions: 1 versions: 2 }", {1, 2}),
  ],
)
def test_policies(make_manager, base, tmp_path, policy, expected):
  for version in (2, 3):
    write_version(base, version, factor=version)
  path = tmp_path / "models.config"
  path.write_text(_config(base, f"model_version_policy {{ {policy} }}")[0])
  manager = make_manager(model_config_file=str(path))
  assert set(_states(manager)) == expected
  assert _factor(manager) == max(expected)
  assert all(_factor(manager, version=version) == version for version in expected)


def test_labels_and_reload(make_manager, base):
  write_version(base, 2, factor=2)
  manager = make_manager()
  both = "model_version_policy { all {} } version_labels { key: 'stable' value: 1 }"
  manager.reload(_config(base, both)[1])
  assert _factor(manager, label="stable") == 1
  assert _factor(manager) == 2
  with pytest.raises(RequestError, match="no label 'canary'; there are: stable") as found:
    _factor(manager, label="canary")
  assert found.value.code is Code.NOT_FOUND


def test_reload_serves_other_models_or_changes_nothing(make_manager, base, tmp_path):
  manager = make_manager()
  with pytest.raises(StorageError, match="nowhere is missing"):
    manager.reload(_config(tmp_path / "nowhere", name="other")[1])
  with pytest.raises(ConfigError):
    manager.reload(model_server_config_pb2.ModelServerConfig())
  assert manager.names() == [_NAME] and _factor(manager) == 1
  manager.reload(_config(base, name="other")[1])
  assert manager.names() == ["other"]
  with pytest.raises(RequestError, match="'heavy_ranker' is not served; there are: other"):
    _factor(manager)


def test_a_changed_model_config_file_is_read_again(make_manager, base, tmp_path):
  write_version(base, 2, factor=2)
  path = tmp_path / "models.config"
  path.write_text(_config(base)[0])
  manager = make_manager(model_config_file=str(path), model_config_file_poll_wait_seconds=0.01)
  assert _factor(manager) == 2
  path.write_text("nonsense")
  policy = "model_version_policy { specific { versions: 1 } }"
  path.write_text(_config(base, policy)[0])
  while _factor(manager) != 1:
    pass


def test_a_model_without_versions_says_how_to_get_one(tmp_path):
  with pytest.raises(StorageError, match="(?s)is missing.*heavy_ranker.export.*--model_base_path"):
    _start(tmp_path / "nowhere")
  with pytest.raises(StorageError, match="(?s)no folder whose name is a number.*export"):
    _start(tmp_path)
  write_broken_version(tmp_path, 4)
  with pytest.raises(StorageError, match="(?s)4 cannot be served"):
    _start(tmp_path)
  with pytest.raises(StorageError, match="4 is a version itself, allowed: the folder above"):
    _start(tmp_path / "4")


def _start(base):
  ModelManager(ServerSettings(model_base_path=str(base))).start()


def _write_warm_up(folder, requests):
  path = folder / "assets.extra" / "tf_serving_warmup_requests"
  path.parent.mkdir()
  with tf.io.TFRecordWriter(str(path)) as writer:
    for request in requests:
      log = prediction_log_pb2.PredictLog(request=request)
      writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def test_a_version_is_warmed_with_its_own_requests(make_manager, base, monkeypatch):
  folder = write_version(base, 2)
  requests = [predict_request(tiny_inputs(rows)) for rows in (1, 5)]
  _write_warm_up(folder, [*requests, predict_request({"examples": [b""]}, "parse")])
  seen = []
  compute = model_versions.LoadedVersion.compute

  def spy(self, info, inputs):
    seen.append((info.name, len(next(iter(inputs.values())))))
    return compute(self, info, inputs)

  monkeypatch.setattr(model_versions.LoadedVersion, "compute", spy)
  make_manager()
  assert seen == [("serving_default", 1), ("serving_default", 5), ("parse", 1)]


def test_a_version_that_fails_its_own_requests_is_broken(make_manager, base):
  folder = write_version(base, 2)
  _write_warm_up(folder, [predict_pb2.PredictRequest()])
  manager = make_manager()
  assert _factor(manager) == 1
  assert "request 0: signature 'serving_default'" in manager.status(_NAME, 2)[0].error


def test_without_requests_of_its_own_each_signature_gets_made_up_ones(make_manager, monkeypatch):
  seen = []
  compute = model_versions.LoadedVersion.compute

  def spy(self, info, inputs):
    seen.append(info.name)
    return compute(self, info, inputs)

  monkeypatch.setattr(model_versions.LoadedVersion, "compute", spy)
  make_manager()
  assert set(seen) == {"serving_default", "parse", "rank"}


@pytest.mark.parametrize("content, expected", [('{"weights": {}}', {"weights": {}}), ("{", None)])
def test_the_recipe_of_the_score_is_told(make_manager, base, content, expected):
  folder = write_version(base, 2)
  (folder / "assets.extra").mkdir()
  (folder / "assets.extra" / "score.json").write_text(content)
  with make_manager().resolve(_NAME) as version:
    assert version.score == expected


def test_telemetry_knows_what_is_loaded(base):
  telemetry = Telemetry()
  manager = ModelManager(
    ServerSettings(model_base_path=str(base), file_system_poll_wait_seconds=0), telemetry
  )
  manager.start()
  write_version(base, 2)
  write_broken_version(base, 3)
  manager.poll_once()
  text = telemetry.render()[0].decode()
  manager.stop()
  assert 'serving_version_loaded{model="heavy_ranker",version="2"} 1.0' in text
  assert 'version="1"' not in text
  assert 'serving_failed_loads_total{model="heavy_ranker"} 1.0' in text
