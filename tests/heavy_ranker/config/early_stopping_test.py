"""Tests of `training.early_stopping`: every complaint."""

import pytest

from tests.heavy_ranker.example_config import TASKS, content, parse
from tfrecords.errors import ConfigError


def early_stopping(**section):
  mapping = content()
  mapping["validation_data"] = {
    "choose": {**mapping["train_data"], "evaluation_tasks": list(TASKS[:2])},
    "report": mapping["train_data"],
  }
  mapping["training"]["early_stopping"] = section
  return parse(mapping).training.early_stopping


def test_absent_keys():
  section = early_stopping(partition="choose")
  assert (section.metric, section.tasks) == ("relative_cross_entropy", "all")
  assert (section.patience, section.min_improvement, section.direction) == (3, 0.0, None)
  assert parse(content()).training.early_stopping is None


def test_metrics_of_the_score_and_chosen_tasks():
  assert early_stopping(partition="report", metric="ndcg@10").metric == "ndcg@10"
  assert early_stopping(partition="choose", tasks=[TASKS[1]]).tasks == [TASKS[1]]


@pytest.mark.parametrize(
  "section, complaint",
  [
    ({}, "training.early_stopping.partition: "),
    ({"partition": "chose"}, "partition: found 'chose', did you mean 'choose'?, allowed: a"),
    (
      {"metric": "aurocc"},
      "metric: found 'aurocc', did you mean 'auroc'?, allowed: relative",
    ),
    ({"metric": "ndcg@5"}, "metric: found 'ndcg@5', did you mean 'ndcg@10'?"),
    ({"metric": "positives"}, "metric: found 'positives'"),
    ({"tasks": []}, "training.early_stopping.tasks"),
    (
      {"tasks": ["likess"]},
      "tasks: found 'likess', did you mean 'likes'?, allowed: likes, ",
    ),
    # A task of the model that the partition does not measure.
    ({"tasks": [TASKS[2]]}, f"tasks: found '{TASKS[2]}'"),
    ({"metric": "map@10", "tasks": ["likes"]}, "tasks: found beside map@10"),
    ({"patience": 0}, "training.early_stopping.patience: found 0 (int)"),
    ({"patience": 1.5}, "training.early_stopping.patience: found 1.5 (float)"),
    ({"patience": True}, "training.early_stopping.patience: found True"),
    ({"min_improvement": -0.1}, "training.early_stopping.min_improvement: found -0.1 (float)"),
    ({"min_improvement": float("nan")}, "training.early_stopping.min_improvement"),
    ({"min_improvement": float("inf")}, "training.early_stopping.min_improvement"),
    ({"direction": "up"}, "training.early_stopping.direction"),
    ({"patient": 3}, "training.early_stopping.patient: unknown key, did you mean 'patience'?"),
  ],
)
def test_mistakes_are_named(section, complaint):
  if section:
    section = {"partition": "choose", **section}
  with pytest.raises(ConfigError) as error:
    early_stopping(**section)
  assert complaint in str(error.value)


def test_without_partitions_there_is_nothing_to_measure():
  mapping = content()
  mapping["training"]["early_stopping"] = {"partition": "choose"}
  with pytest.raises(ConfigError, match="early_stopping.partition: found 'choose', allowed: .*is"):
    parse(mapping)
