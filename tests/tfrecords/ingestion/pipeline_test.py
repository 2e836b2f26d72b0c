"""The same work in one process, in several, and what a cluster would be told."""

import pytest

from tests.tfrecords.ingestion import small_table
from tests.tfrecords.ingestion.small_table import contents
from tfrecords.errors import ConfigError, DataError, StorageError
from tfrecords.ingestion import conversion
from tfrecords.ingestion.ingest_table import ingest
from tfrecords.ingestion.pipeline import Runner

BAZEL_SIZE = "large"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
  folder = tmp_path_factory.mktemp("inputs")
  for name in "abc":
    small_table.write_parquet(folder / f"{name}.parquet", 500)
  return str(folder / "*.parquet")


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory):
  folder = tmp_path_factory.mktemp("expected")
  small_table.run(folder, inputs)
  return contents(folder / "records")


def test_processes_of_their_own_write_the_same_bytes(inputs, expected, tmp_path):
  small_table.run(tmp_path, inputs, n_workers=3)
  assert contents(tmp_path / "records") == expected


@pytest.mark.parametrize(
  ("runner", "options"),
  [
    ("DirectRunner", ["direct_num_workers=2", "direct_running_mode=multi_threading"]),
    (
      "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
      ["--direct_num_workers=2", "direct_running_mode=in_memory"],
    ),
  ],
)
def test_runners_of_beam_with_their_options_write_the_same_bytes(
  inputs, expected, tmp_path, runner, options
):
  ingest(small_table.mapping(), [inputs], str(tmp_path / "records"), Runner(runner, options))
  assert contents(tmp_path / "records") == expected


def test_an_error_in_another_process_comes_back_as_it_was(tmp_path):
  for name in "abc":
    small_table.write_parquet(tmp_path / f"{name}.parquet", flag=[2] * 100)
  with pytest.raises(DataError, match=r"[abc].parquet: row 1, column 'flag': found 2") as error:
    small_table.run(tmp_path, tmp_path / "*.parquet", n_workers=2)
  assert "Traceback" not in str(error.value)
  assert not (tmp_path / "records").exists()


def test_after_an_error_is_mended_the_work_goes_on(tmp_path):
  path = small_table.write_parquet(tmp_path / "a.parquet", flag=[2] * 100)
  with pytest.raises(DataError):
    small_table.run(tmp_path, path)
  small_table.write_parquet(path)
  assert small_table.run(tmp_path, path).summary["rows"] == 100


def test_a_full_disk_is_a_storage_error(tmp_path, monkeypatch):
  path = small_table.write_parquet(tmp_path / "a.parquet")

  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(conversion._PartOfChunk, "write", full)
  with pytest.raises(StorageError, match="No space left on device"):
    small_table.run(tmp_path, path)
  assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ({"runner": "FlinkRuner"}, "--runner: found 'FlinkRuner'"),
    ({"runner": "os.system"}, "--runner: found 'os.system'"),
    ({"options": ["flink_mastr=x:1"]}, "did you mean 'flink_master'"),
    ({"n_workers": 0}, "--workers: found 0"),
  ],
)
def test_runners_and_options_beam_does_not_know(arguments, words):
  with pytest.raises(ConfigError) as error:
    Runner(**arguments)
  assert words in str(error.value)


@pytest.mark.parametrize(
  ("runner", "options"),
  [
    ("FlinkRunner", ["flink_master=localhost:8081", "parallelism=4"]),
    ("SparkRunner", ["spark_master_url=local[2]"]),
    ("PortableRunner", ["job_endpoint=localhost:8099", "environment_type=LOOPBACK"]),
  ],
)
def test_a_cluster_gets_its_options(runner, options):
  made = Runner(runner, options)
  assert made.arguments(10) == [f"--runner={runner}", *(f"--{option}" for option in options)]
