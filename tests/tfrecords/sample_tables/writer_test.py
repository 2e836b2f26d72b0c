import gzip

import pytest

from tfrecords.errors import ConfigError, StorageError
from tfrecords.sample_tables.writer import KINDS, write_sample

BAZEL_DATA = ["//configs:all"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_bytes(tmp_path, kind):
  for name, seed in (("a", 3), ("b", 3), ("c", 4)):
    write_sample(kind, 50, seed, str(tmp_path / name))
  assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
  assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


@pytest.mark.parametrize(("kind", "n_fields"), [("", 24), ("_unlabelled", 20)])
def test_fields_of_the_recsys_challenge(tmp_path, kind, n_fields):
  path = write_sample(f"recsys_challenge{kind}", 200, 0, str(tmp_path / "t.gz"))
  with gzip.open(path, "rt") as file:
    rows = [line.rstrip("\n").split("\x01") for line in file]
  assert {len(row) for row in rows} == {n_fields}
  assert {row[12] for row in rows} <= {"true", "false"}
  assert {row[6] for row in rows} == {"TopLevel", "Retweet", "Quote"}
  assert any("\t" in row[3] for row in rows)


@pytest.mark.parametrize(
  "changes", [{"kind": "x"}, {"n_rows": 0}, {"seed": -1}, {"output": "${NOT_SET_HERE}/x"}]
)
def test_arguments_that_cannot_be_used(tmp_path, changes):
  given = {"kind": "feed", "n_rows": 9, "seed": 0, "output": str(tmp_path / "t"), **changes}
  with pytest.raises(ConfigError):
    write_sample(**given)


def test_a_file_that_is_there_is_kept(tmp_path):
  write_sample("feed", 9, 0, str(tmp_path / "t"))
  with pytest.raises(StorageError, match="--overwrite"):
    write_sample("feed", 9, 1, str(tmp_path / "t"))
