"""Records over s3:// and http://, from an S3 API on this machine."""

import json
import os
import subprocess
import sys

import pytest

from tests.heavy_ranker import small_run
from tests.tfrecords.s3_server import BUCKET, S3Server, breaking_line
from tfrecords import paths

BAZEL_SIZE = "large"

# A process of its own: the file system reads its environment once, and what is tested includes how
# the process ends.
_READ = """
import json, sys
from tfrecords import command_line
from tfrecords.config.data import DataConfig

config = DataConfig(**json.loads(sys.argv.pop()))

def read():
  from tfrecords.input_pipeline import InputPipeline
  pipeline = InputPipeline(config, "evaluate")
  with pipeline.explained():
    sums = [float(features["continuous"].numpy().sum()) for features, _, _ in pipeline.dataset]
  print(json.dumps(sums))

command_line.run(read, "Reads.")
"""


@pytest.fixture(scope="module")
def server():
  server = S3Server()
  yield server
  server.stop()


@pytest.fixture(scope="module")
def data(server, tmp_path_factory):
  """The data section of a small run, whose records and schema lie in the bucket."""
  folder = tmp_path_factory.mktemp("remote")
  content = small_run.small_content(folder)["train_data"]
  server.upload(folder / "data", "data/")
  server.upload(folder)
  server.upload(folder / "data", "private/", acl="private")
  content["seg_dense_schema"]["schema_path"] = f"s3://{BUCKET}/schema.json"
  return content


def _read(server, data, inputs, **environment):
  return subprocess.run(
    [sys.executable, "-c", _READ, json.dumps({**data, "inputs": inputs})],
    capture_output=True,
    text=True,
    timeout=240,
    env={
      **os.environ,
      "PYTHONPATH": paths.package_root(),
      **server.environment(),
      **environment,
    },
  )


def _sums(done):
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def expected(server, data):
  return _sums(_read(server, data, f"s3://{BUCKET}/data/*.gz"))


def test_records_are_read_and_the_process_ends_well(expected):
  assert len(expected) == 8  # 120 records in batches of 16.


def test_http_reads_one_file(server, data, expected):
  address = f"http://127.0.0.1:{server.port}/{BUCKET}/data/part-0.gz"
  sums = _sums(_read(server, data, address))
  assert sums[:2] == expected[:2]  # Of 40 records, before the files' borders.


def test_http_without_permission_is_an_error(server, data):
  done = _read(server, data, f"http://127.0.0.1:{server.port}/{BUCKET}/private/part-0.gz")
  assert done.returncode == 3
  assert "private/part-0.gz' cannot be listed: Error executing an HTTP request" in done.stderr


def test_a_connection_that_drops_is_made_again(server, data, expected):
  with breaking_line(server.port, [b"GET /bucket/data/part-1.gz"], times=2) as (port, broken):
    endpoint = server.environment(port)["S3_ENDPOINT"]
    sums = _sums(_read(server, data, f"s3://{BUCKET}/data/*.gz", S3_ENDPOINT=endpoint))
  assert len(broken) == 2
  assert sums == expected


def test_a_connection_that_keeps_dropping_is_an_error(server, data):
  with breaking_line(server.port, [b"GET /bucket/data/part-1.gz"], times=10**6) as (port, broken):
    endpoint = server.environment(port)["S3_ENDPOINT"]
    done = _read(server, data, f"s3://{BUCKET}/data/*.gz", S3_ENDPOINT=endpoint)
  assert done.returncode == 3
  assert f"s3://{BUCKET}/data/part-1.gz: cannot be read" in done.stderr
  assert len(broken) > 2


@pytest.mark.parametrize(
  "inputs, code, words",
  [
    (f"s3://{BUCKET}/nothing/*", 3, "no file matches 's3://bucket/nothing/*' (if it should be"),
    ("http://127.0.0.1:1/data/*.gz", 2, "allowed: the address of one file, since HTTP lists none"),
  ],
)
def test_what_is_not_there_says_what_to_look_at(server, data, inputs, code, words):
  done = _read(server, data, inputs)
  assert done.returncode == code
  assert words in done.stderr
