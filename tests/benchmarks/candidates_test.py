"""Which configurations are compared, and when they cannot be."""

import json

import pytest

from benchmarks.candidates import find
from tests.benchmarks.tiny_data import ARCHITECTURES
from tfrecords.errors import ConfigError

BAZEL_DATA = ["//configs:all"]


@pytest.fixture(name="write")
def write_fixture(tmp_path):
  def write(name, content=None):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    base = {"extends": str(ARCHITECTURES / "mlp.yaml"), "training": {"save_dir": str(path) + ".d"}}
    path.write_text(json.dumps({**base, **(content or {})}))
    return str(path)

  return write


def test_globs_find_files_once_sorted_by_name(write, tmp_path):
  write("b.yaml")
  write("a.yaml")
  found = find([f"{tmp_path}/*.yaml", f"{tmp_path}/a.yaml"], ["training.seed=4"])
  assert [candidate.name for candidate in found] == ["a", "b"]
  assert [candidate.config.training.seed for candidate in found] == [4, 4]


@pytest.mark.parametrize(("steps", "ramp", "end"), [(2400, 200, 2400), (60, 5, 60), (1, 1, 2)])
def test_the_schedule_is_stretched_to_the_steps(write, steps, ramp, end):
  (candidate,) = find([write("a.yaml")], num_train_steps=steps)
  assert candidate.config.training.num_train_steps == steps
  cosine = candidate.config.optimizer.single_task_learning_rate.linear_ramp_to_cosine
  assert (cosine.num_ramp_steps, cosine.final_num_steps) == (ramp, end)


def test_a_schedule_without_an_end_stays(write):
  path = write("a.yaml", {"optimizer": {"single_task_learning_rate": None}})
  constant = "optimizer.single_task_learning_rate={constant: 0.1}"
  (candidate,) = find([path], [constant], num_train_steps=5)
  assert candidate.overrides == (constant, "training.num_train_steps=5")


@pytest.mark.parametrize(
  ("globs", "message"),
  [
    (["none/*.yaml"], "no file matches 'none/"),
    ([], "--configs: found nothing"),
    (["${NOT_SET_HERE}/*.yaml"], "NOT_SET_HERE, which is not set"),
  ],
)
def test_no_file_is_an_error(globs, message):
  with pytest.raises(ConfigError, match=message.replace("$", r"\$")):
    find(globs)


@pytest.mark.parametrize(
  ("first", "second", "content", "message"),
  [
    ("a.yaml", "b/a.yaml", {}, "the name 'a' is that of"),
    ("a.yaml", "b.yaml", {"training": {"save_dir": "{a}"}}, "training.save_dir '.*' is that of"),
    ("a.yaml", "b.yaml", {"train_data": {"shuffle_seed": 3}}, "train_data differs from that of"),
    (
      "a.yaml",
      "b.yaml",
      {"validation_data": {"validation": {"num_files_to_keep": 3}}},
      "validation_data differs from that of",
    ),
    (
      "a.yaml",
      "b.yaml",
      {"model": {"tasks": {"recap.engagement.is_replied": None}}},
      "model.tasks differs from that of",
    ),
  ],
)
def test_what_cannot_be_compared_is_refused(write, first, second, content, message):
  path = write(first)
  text = json.dumps(content).replace("{a}", path + ".d")
  with pytest.raises(ConfigError, match=message):
    find([path, write(second, json.loads(text))])


def test_runs_lie_on_the_local_disk(write):
  with pytest.raises(ConfigError, match=r"save_dir: found gs://x/y, allowed: a local folder"):
    find([write("a.yaml")], ["training.save_dir=gs://x/y"])


def test_there_has_to_be_something_to_measure_on(write):
  with pytest.raises(ConfigError, match=r"validation_data\.validation: found none"):
    find([write("a.yaml", {"validation_data": None})])
