"""What a tf.data service loses is read in this process: every record comes exactly once."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.packed import packed_files
from tests.tfrecords.record_files import author_ids
from tfrecords import data_service_client
from tfrecords.input_pipeline import InputPipeline

SIZES = [3, 9, 6]
WITHOUT_RAGGED = ["continuous", "meta__author_id"]
NOTICE = "train_data: a worker of the data service was lost: what it owed of "


def _without(is_lost):
  return lambda served: served.filter(lambda _, mark: tf.logical_not(is_lost(*tf.unstack(mark))))


# Of a mark's (file, examples before, examples). File 1 is sent as 4 + 4 + 1 examples and an end.
LOSSES = {
  "nothing": (lambda served: served, 0),
  "a worker in the midst of a file": (_without(lambda file, at, _: (file == 1) & (at > 0)), 1),
  "a worker before its first batch": (_without(lambda file, at, rows: file == 0), 1),
  "the end of a file": (_without(lambda file, at, rows: (file == 2) & (rows == 0)), 1),
  "a batch on its way": (_without(lambda file, at, rows: (file == 1) & (at == 4)), 1),
  "everything": (lambda served: served.take(0), 3),
  "nothing, but all comes twice": (lambda served: served.concatenate(served), 0),
}


def _pipeline(monkeypatch, config, lose, features):
  monkeypatch.setattr(data_service_client, "distribute", lambda dataset, *_: lose(dataset))
  served = {"data_service_dispatcher": "grpc://localhost:1"}
  return InputPipeline(config.model_copy(update=served), "evaluate", features)


@pytest.mark.parametrize("features", [None, WITHOUT_RAGGED], ids=["ragged", "dense"])
@pytest.mark.parametrize("lose, files", LOSSES.values(), ids=LOSSES)
def test_every_record_comes_once(lose, files, features, monkeypatch, tmp_path, capfd):
  record_files.write_shards(tmp_path, SIZES, "GZIP")
  config = record_files.data_config(tmp_path)
  pipeline = _pipeline(monkeypatch, config, lose, features)
  found = author_ids(pipeline.dataset)
  assert sorted(sum(found, [])) == list(range(18))
  assert [len(batch) for batch in found] == [4, 4, 4, 4, 2]
  assert (f"{NOTICE}{files} file(s)" in capfd.readouterr().out) == (files > 0)
  local = InputPipeline(config, "evaluate", features).dataset
  assert pipeline.dataset.element_spec == local.element_spec


@pytest.mark.parametrize("kind", ["nothing", "a worker in the midst of a file", "everything"])
def test_every_packed_example_comes_once(kind, monkeypatch, tmp_path):
  packed_files.write_records(tmp_path, SIZES)
  packed_files.write_packed(tmp_path, options={"num_shards": 3})
  config = packed_files.packed_config(tmp_path)
  pipeline = _pipeline(monkeypatch, config, LOSSES[kind][0], WITHOUT_RAGGED)
  assert sorted(sum(author_ids(pipeline.dataset), [])) == list(range(18))


def test_a_sampler_leaves_out_the_same_records(monkeypatch, tmp_path):
  record_files.write_shards(tmp_path, SIZES)
  sampler = {"name": "share", "kwargs": {"rate": 0.5}}
  config = record_files.data_config(tmp_path, sampler=sampler)
  lose, _ = LOSSES["a worker in the midst of a file"]
  found = sum(author_ids(_pipeline(monkeypatch, config, lose, None).dataset), [])
  expected = sum(author_ids(InputPipeline(config, "evaluate").dataset), [])
  assert sorted(found) == expected and 0 < len(expected) < 18
