"""The command: flags, exit codes, and the ready mappings from a made-up table to records."""

import pytest

from heavy_ranker.config import load_config
from tests.end_to_end.command_runner import run
from tests.tfrecords.ingestion import small_table
from tfrecords import paths
from tfrecords.ingestion.ingest_table import ingest
from tfrecords.ingestion.mapping import load_mapping
from tfrecords.ingestion.pipeline import Runner
from tfrecords.sample_tables.writer import write_sample

BAZEL_SIZE = "large"
BAZEL_DATA = ["//configs:all"]

_MAPPINGS = paths.package_root() + "/configs/mappings"


@pytest.mark.parametrize(
  ("flags", "exit_code", "words"),
  [
    ([], 2, "--mapping: found none"),
    (["--mapping=m.yaml"], 2, "--output: found none"),
    (["--mapping=none.yaml", "--output=o"], 2, "none.yaml: the configuration file cannot be read"),
    (["--mapping=m.yaml", "--output=o", "--config_path=c"], 2, "--config_path: found one"),
    (["--mapping=m.yaml", "--output=o", "--set", "formt=csv"], 2, "did you mean 'format'"),
    (["--mapping=m.yaml", "--output=o"], 2, "inputs: found none"),
    (["--mapping=m.yaml", "--output=o", "--input=none*"], 3, "no file matches"),
    (["--mapping=m.yaml", "--output=o", "--input=t", "--runner=None"], 2, "--runner: found 'None'"),
    (["--mapping=m.yaml", "--output=m.yaml/o", "--input=t"], 4, "--output"),
    (["--mapping=m.yaml", "--output=/", "--input=t"], 2, "--output: found '/'"),
  ],
)
def test_flags_that_cannot_work(tmp_path, flags, exit_code, words):
  import yaml

  (tmp_path / "m.yaml").write_text(yaml.safe_dump(small_table.content()))
  small_table.write_parquet(tmp_path / "t")
  done = run("tfrecords.ingest", *flags, cwd=tmp_path)
  assert done.returncode == exit_code, done.stdout + done.stderr
  assert words in done.stderr
  assert done.stderr.startswith("error: ")
  assert not (tmp_path / "o").exists()


def test_from_generated_table_to_configuration(tmp_path):
  made = run(
    "tfrecords.generate_table",
    "--kind=recsys_challenge",
    "--rows=3000",
    "--output=t.tsv.gz",
    cwd=tmp_path,
  )
  assert made.returncode == 0, made.stderr
  flags = [f"--mapping={_MAPPINGS}/recsys_challenge.yaml", "--input=*.tsv.gz", "--output=records"]
  done = run("tfrecords.ingest", *flags, "--workers=1", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  assert "recap.engagement.is_retweeted" in done.stdout
  assert "heavy_ranker.train --config_path=records/config.yaml" in done.stdout
  again = run("tfrecords.ingest", *flags, cwd=tmp_path)
  assert "complete already" in again.stdout


def test_the_format_of_the_recsys_challenge(tmp_path):
  write_sample("recsys_challenge", 2000, 0, str(tmp_path / "training.tsv"))
  write_sample("recsys_challenge_unlabelled", 50, 1, str(tmp_path / "val.tsv"))
  mapping = load_mapping(f"{_MAPPINGS}/recsys_challenge.yaml")
  done = ingest(mapping, [str(tmp_path / "*.tsv")], str(tmp_path / "records"), Runner())
  assert done.summary["parts"]["unlabelled"]["records"] == 50
  assert done.summary["widths"]["continuous"] == 12
  rows = [line.split("\x01") for line in (tmp_path / "training.tsv").read_text().splitlines()]
  by_tweet = {}
  for row in rows:
    by_tweet.setdefault((int(row[10]), int(row[15])), []).append(row)
  for record in small_table.read(tmp_path, "train")[:200]:
    followers = tuple(map(int, (record["continuous"][0], record["continuous"][2])))
    matching = by_tweet[followers]
    engaged = [bool(record[task][0]) for task in mapping.labels]
    # Like, retweet, reply, retweet with comment are the fields 24, 22, 21 and 23.
    assert engaged in [[bool(row[field - 1]) for field in (24, 22, 21, 23)] for row in matching]


def test_the_columns_of_kuairand(tmp_path):
  write_sample("kuairand", 800, 0, str(tmp_path / "t.parquet"))
  mapping = load_mapping(f"{_MAPPINGS}/kuairand.yaml")
  ingest(mapping, [str(tmp_path / "t.parquet")], str(tmp_path / "records"), Runner())
  config = load_config(tmp_path / "records" / "config.yaml")
  assert list(config.validation_data) == ["choose", "validation"]
  assert list(config.model.tasks) == list(mapping.labels)
  assert config.score.weight_of("recap.engagement.is_replied") == 27
