"""Batches from a tf.data service that runs in this process."""

import socket
import threading

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import flat_author_ids, record
from tfrecords import data_service_client
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline

BAZEL_SIZE = "medium"
SERVICE = tf.data.experimental.service
SAMPLER = {"name": "negatives", "kwargs": {"rate": 1e-9, "engagements_list": ["is_liked"]}}


@pytest.fixture(scope="module", name="dispatcher")
def dispatcher_fixture():
  dispatcher = SERVICE.DispatchServer()
  address = dispatcher.target.split("://")[1]
  workers = [SERVICE.WorkerServer(SERVICE.WorkerConfig(address)) for _ in range(2)]
  yield dispatcher.target
  del workers


def open_pipeline(folder, mode="evaluate", **changes):
  return InputPipeline(record_files.data_config(folder, **changes), mode)


@pytest.mark.parametrize("compression", ["AUTO", "NONE"])
def test_evaluation_has_every_record_once(tmp_path, dispatcher, compression):
  record_files.write_shards(tmp_path, [3, 1, 6, 5], "GZIP")
  pipeline = open_pipeline(
    tmp_path, data_service_dispatcher=dispatcher, dataset_service_compression=compression
  )
  for _ in range(2):
    assert sorted(flat_author_ids(pipeline.dataset)) == list(range(15))
  local = open_pipeline(tmp_path).dataset
  assert pipeline.dataset.element_spec == local.element_spec


def test_training_has_full_batches_of_every_record(tmp_path, dispatcher):
  record_files.write_shards(tmp_path, [8, 8, 8])
  pipeline = open_pipeline(
    tmp_path, "train", data_service_dispatcher=dispatcher, file_batch_size=1, shuffle_seed=1
  )
  found = record_files.author_ids(pipeline.dataset.take(60))
  assert [len(batch) for batch in found] == [4] * 60
  assert set(sum(found, [])) == set(range(24))
  assert not pipeline.position_can_be_saved


def test_a_sampler_works_in_the_service(tmp_path, dispatcher):
  record_files.write_shards(tmp_path, [7, 9])
  pipeline = open_pipeline(tmp_path, data_service_dispatcher=dispatcher, sampler=SAMPLER)
  assert sorted(flat_author_ids(pipeline.dataset)) == list(range(1, 16, 2))


def test_a_bad_record_is_named(tmp_path, dispatcher):
  record_files.write_shards(tmp_path, [4])
  path = record_files.write_shard(tmp_path / "z.tfrecord", [record(0), record(1, is_liked=[9])])
  pipeline = open_pipeline(tmp_path, data_service_dispatcher=dispatcher)
  with pytest.raises(DataError, match=f"{path}: record 1: label 'is_liked' is 9"):
    record_files.read_eagerly(pipeline)


def test_prediction_reads_in_this_process(tmp_path):
  record_files.write_shards(tmp_path, [3])
  pipeline = open_pipeline(tmp_path, "predict", data_service_dispatcher="grpc://localhost:1")
  assert flat_author_ids(pipeline.dataset) == [0, 1, 2]
  assert pipeline.position_can_be_saved


@pytest.mark.parametrize("option", ["cache", "ignore_data_errors"])
def test_options_that_need_this_process_are_refused(tmp_path, dispatcher, option):
  record_files.write_shards(tmp_path, [3])
  with pytest.raises(ConfigError, match=f"train_data.{option}: found true together with"):
    open_pipeline(tmp_path, data_service_dispatcher=dispatcher, **{option: True})


def test_no_dispatcher_is_an_error(tmp_path):
  record_files.write_shards(tmp_path, [3])
  with socket.socket() as unused:
    unused.bind(("localhost", 0))
    address = f"grpc://localhost:{unused.getsockname()[1]}"
    with pytest.raises(DataError, match=f"nothing answers at {address}"):
      open_pipeline(tmp_path, data_service_dispatcher=address)


def test_an_unknown_host_is_an_error(tmp_path):
  record_files.write_shards(tmp_path, [3])
  with pytest.raises(DataError, match="nothing answers at grpc://no.such.host.invalid:5050"):
    open_pipeline(tmp_path, data_service_dispatcher="grpc://no.such.host.invalid:5050")


def test_a_dispatcher_without_workers_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(data_service_client, "_SECONDS_TO_ANSWER", 2)
  record_files.write_shards(tmp_path, [3])
  dispatcher, before = SERVICE.DispatchServer(), set(threading.enumerate())
  with pytest.raises(DataError, match="no answer within 2 seconds.* with at least one worker"):
    open_pipeline(tmp_path, data_service_dispatcher=dispatcher.target)
  # What still waits for a worker gets one: it would complain for as long as this process lives.
  worker = SERVICE.WorkerServer(SERVICE.WorkerConfig(dispatcher.target.split("://")[1]))
  for thread in set(threading.enumerate()) - before:
    thread.join(60)
    assert not thread.is_alive()
  del worker


def test_a_worker_with_tasks_of_an_earlier_dispatcher_is_an_error(
  tmp_path, dispatcher, monkeypatch
):
  monkeypatch.setattr(SERVICE, "distribute", lambda *_, **__: lambda dataset: dataset.take(0))
  record_files.write_shards(tmp_path, [3])
  message = f"{dispatcher} makes no data .a worker takes the task for one of an earlier dispatcher"
  with pytest.raises(DataError, match=message):
    open_pipeline(tmp_path, data_service_dispatcher=dispatcher)


def test_something_else_at_the_address_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(data_service_client, "_SECONDS_TO_ANSWER", 2)
  record_files.write_shards(tmp_path, [3])
  with socket.socket() as server:
    server.bind(("localhost", 0))
    server.listen()
    address = f"grpc://localhost:{server.getsockname()[1]}"
    with pytest.raises(DataError, match=f"{address} makes no data"):
      open_pipeline(tmp_path, data_service_dispatcher=address)


@pytest.mark.parametrize(
  "address", ["localhost:5050", "grpc://host", "grpc://:5050", "http://host:1", "grpc://host:x", ""]
)
def test_an_address_of_another_form_is_refused(tmp_path, address):
  with pytest.raises(ConfigError, match="data_service_dispatcher: .*allowed: grpc://HOST:PORT"):
    record_files.data_config(tmp_path, data_service_dispatcher=address)
