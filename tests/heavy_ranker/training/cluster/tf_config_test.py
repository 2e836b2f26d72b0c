"""Tests of `heavy_ranker.training.cluster.tf_config`."""

import json
import re

import hypothesis
import pytest
from hypothesis import strategies as st

from heavy_ranker.training.cluster.tf_config import read_membership
from tfrecords.errors import ConfigError

HOSTS = ["a:1", "b:2", "[::1]:3"]


def read(content):
  text = content if isinstance(content, str) else json.dumps(content)
  return read_membership({"TF_CONFIG": text})


def with_task(kind="worker", index=0, **jobs):
  return {"cluster": jobs or {"worker": HOSTS}, "task": {"type": kind, "index": index}}


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": " \n"}])
def test_without_it_there_is_one_machine(environment):
  assert read_membership(environment) is None


def test_the_process_environment_is_the_default(monkeypatch):
  monkeypatch.setenv("TF_CONFIG", json.dumps(with_task(index=1)))
  assert read_membership().index == 1


@pytest.mark.parametrize("index", [0, 1, 2, "2"])
def test_worker_0_is_the_chief(index):
  found = read(with_task(index=index))
  assert (found.index, found.count, found.is_chief) == (int(index), 3, int(index) == 0)
  assert found.describe(2) == "worker 2 ([::1]:3)"


def test_a_chief_comes_before_the_workers():
  found = read(with_task("worker", 1, worker=["a:1", "b:2"], chief=["c:3"]))
  assert found.names == ("chief 0", "worker 0", "worker 1")
  assert found.addresses == ("c:3", "a:1", "b:2")
  assert (found.index, found.is_chief) == (2, False)
  assert read(with_task("chief", 0, worker=["a:1"], chief=["c:3"])).is_chief


@pytest.mark.parametrize(
  "content, message",
  [
    ("{", "TF_CONFIG: found '{' (str), allowed: JSON such as"),
    ("[" * 100_000, "allowed: JSON such as"),
    ("3", "TF_CONFIG: found 3 (int), allowed: an object such as"),
    ({}, "TF_CONFIG: cluster: found None (NoneType), allowed: the addresses of the workers"),
    ({"cluster": {}}, "TF_CONFIG: cluster: found {} (dict)"),
    ({"cluster": ["a:1"]}, "TF_CONFIG: cluster: found ['a:1'] (list)"),
    (with_task(worker=[]), "TF_CONFIG: cluster.worker: found [] (list), allowed: a list of"),
    (with_task(worker="a:1"), "TF_CONFIG: cluster.worker: found 'a:1' (str)"),
    (with_task(worker=["a:1", "b"]), "cluster.worker.1: found 'b' (str), allowed: \"HOST:PORT\""),
    (with_task(worker=["a:0"]), "cluster.worker.0: found 'a:0'"),
    (with_task(worker=["a:65536"]), "cluster.worker.0: found 'a:65536'"),
    (with_task(worker=["grpc://a:1"]), "cluster.worker.0: found 'grpc://a:1'"),
    (with_task(worker=[7]), "cluster.worker.0: found 7 (int)"),
    (with_task(worker=["a:1", "a:1"]), "cluster.worker.1: found 'a:1', which is worker 0's"),
    (
      with_task(worker=["a:1"], chief=["a:1"]),
      "cluster.worker.0: found 'a:1', which is chief 0's, allowed: its own",
    ),
    (with_task(worker=["a:1"], chief=["b:1", "c:1"]), "cluster.chief: found 2 addresses"),
    (with_task(worker=["a:1"], ps=["b:1"]), "cluster.ps: found it, allowed: chief and worker"),
    (with_task(worker=["a:1"], evaluator=["b:1"]), "//heavy_ranker:evaluate --follow"),
    ({"cluster": {"worker": HOSTS}}, "TF_CONFIG: task: found None"),
    (with_task("ps"), "task.type: found 'ps' (str), allowed: a type of the cluster: worker"),
    (with_task("chief"), "task.type: found 'chief' (str)"),
    (with_task(index=3), "task.index: found 3 (int), allowed: 0 to 2"),
    (with_task(index=-1), "task.index: found -1 (int)"),
    (with_task(index=True), "task.index: found True (bool)"),
    (with_task(index="one"), "task.index: found 'one' (str)"),
    (with_task(index=None), "task.index: found None (NoneType)"),
  ],
)
def test_what_cannot_be_used_is_named(content, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    read(content)


_JSON = st.recursive(
  st.none() | st.booleans() | st.integers() | st.text(max_size=5),
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(
      st.sampled_from(["cluster", "task", "worker", "chief", "type", "index"]), inner, max_size=4
    )
  ),
  max_leaves=8,
)


@hypothesis.given(st.text() | _JSON.map(json.dumps))
def test_whatever_stands_there_is_read_or_refused(text):
  try:
    found = read_membership({"TF_CONFIG": text})
  except ConfigError:
    return
  assert found is None or 0 <= found.index < found.count
