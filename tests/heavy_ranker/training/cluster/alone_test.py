"""Every command but //heavy_ranker:train refuses to be one of several workers."""

import json

import pytest

from heavy_ranker.training.cluster.alone import require_alone
from tests.end_to_end.command_runner import run
from tfrecords.errors import ConfigError

BAZEL_SIZE = "medium"


def _environment(workers, index=0, kind="worker"):
  cluster = {"worker": [f"host{number}:2222" for number in range(workers)]}
  return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": " "}, _environment(1)])
def test_one_process_may_go_on(environment):
  require_alone("tune", environment)


def test_a_worker_that_is_chief_of_itself_alone_may_go_on():
  cluster = {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}
  require_alone("tune", {"TF_CONFIG": json.dumps(cluster)})


@pytest.mark.parametrize("index", [0, 2])
def test_several_workers_are_refused_the_chief_among_them(index):
  message = rf"TF_CONFIG: found worker {index} \(host{index}:2222\), one of 3 workers, allowed for "
  with pytest.raises(ConfigError, match=message + "//heavy_ranker:tune: no TF_CONFIG, or one "):
    require_alone("tune", _environment(3, index))


@pytest.mark.parametrize("text", ["{", "[]", _environment(2, kind="evaluator")["TF_CONFIG"]])
def test_what_cannot_be_used_is_refused_with_this_commands_way_out(text):
  with pytest.raises(ConfigError, match="no command can use .*: env -u TF_CONFIG") as error:
    require_alone("evaluate", {"TF_CONFIG": text})
  assert "to train on this machine alone" not in str(error.value)


@pytest.mark.parametrize(
  "module",
  [
    "heavy_ranker.tune",
    "heavy_ranker.evaluate",
    "heavy_ranker.export",
    "heavy_ranker.score",
    "heavy_ranker.calibrate",
    "heavy_ranker.importance",
  ],
)
def test_commands_refuse_before_they_do_anything(module, tmp_path):
  ended = run(module, cwd=tmp_path, **_environment(2, 1))
  assert ended.returncode == ConfigError.exit_code
  assert "error: TF_CONFIG: found worker 1 (host1:2222), one of 2 workers" in ended.stderr
  target = "//" + module.replace(".", ":")
  assert target in ended.stderr and "Traceback" not in ended.stderr
  assert list(tmp_path.iterdir()) == []
