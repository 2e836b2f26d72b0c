"""Trains the logistic regression a model is held against, once a run, and predicts with it."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from heavy_ranker.checkpoints import (
  intact_checkpoint,
  require_checkpoint,
  restore_weights,
  step_of,
)
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.baselines import LOGISTIC_REGRESSION
from heavy_ranker.evaluation.baselines import Baseline
from heavy_ranker.evaluation.logistic_regression import (
  logistic_regression_config,
  logistic_regression_folder,
)
from heavy_ranker.model import build_model
from heavy_ranker.training.cluster.cluster import ALONE
from heavy_ranker.training.earlier_run import set_aside
from heavy_ranker.training.trainer import train
from tfrecords import files
from tfrecords.errors import CheckpointError, ConfigError
from tfrecords.folders import alone_in, make_writable

_FILE = "configuration.json"
# What decides the weights that come of it; how often it is logged and saved does not.
_OF_TRAINING = (
  "num_train_steps",
  "seed",
  "synchronize_batch_norm",
  "gradient_accumulation",
  "max_skipped_batches",
)
_SECTIONS = ("model", "train_data", "optimizer")
_MOST_DIFFERENCES_SHOWN = 3
_WITHOUT = f"leave it out with --set evaluation.baselines.{LOGISTIC_REGRESSION}=null"


def trained_logistic_regression(config: HeavyRankerConfig) -> Baseline:
  """Returns the logistic regression of a model's run, trained first unless that is done already.

  It lies in SAVE_DIR/baselines/logistic_regression, a run like any other: one that was interrupted
  resumes, and one of another configuration is moved aside. Of several processes that want it, one
  trains it and the others wait.

  Args:
    config: the model's configuration.

  Raises:
    UserError: it cannot be trained or restored.
  """
  own = logistic_regression_config(config)
  if not own.training.num_train_steps:
    raise ConfigError(
      f"training.num_train_steps: found 0, allowed with evaluation.baselines.{LOGISTIC_REGRESSION}"
      f": at least 1, for it is trained as long as the model. Or {_WITHOUT}"
    )
  folder = make_writable(logistic_regression_folder(config), "training.save_dir")
  with alone_in(folder):
    _set_other_aside(own, folder)
    _train(own, folder)
  return _restored(own, require_checkpoint(folder))


def _train(own: HeavyRankerConfig, folder: str) -> None:
  done, steps = intact_checkpoint(folder), own.training.num_train_steps
  if done is not None and step_of(done) >= steps:
    return
  print(
    f"{LOGISTIC_REGRESSION}: trained for {steps} steps on train_data, as the model's configuration "
    f"says, in {folder}; later evaluations reuse it ({_WITHOUT})",
    flush=True,
  )
  started = time.monotonic()
  # Also where TF_CONFIG names others: it takes seconds, and only this process measures.
  train(own, cluster=ALONE)
  print(f"{LOGISTIC_REGRESSION}: trained in {time.monotonic() - started:.0f} s", flush=True)


def _set_other_aside(own: HeavyRankerConfig, folder: str) -> None:
  """Moves what was trained with another configuration away, and notes down this one."""
  path, wanted = os.path.join(folder, _FILE), _deciding(own)
  known = _read(path)
  if known == wanted:
    return
  earlier = set_aside(folder)
  if earlier:
    print(
      f"{LOGISTIC_REGRESSION}: the configuration has changed since it was trained "
      f"({_differences(known, wanted)}): the earlier one now lies in {earlier}; delete it when you "
      "are done with it",
      flush=True,
    )
  files.write(path, json.dumps(wanted, indent=1) + "\n", "Make room there", makes_folder=True)


def _deciding(own: HeavyRankerConfig) -> dict[str, Any]:
  content = json.loads(own.model_dump_json(exclude_none=True))
  training = {key: content["training"].get(key) for key in _OF_TRAINING}
  return {"training": training, **{section: content[section] for section in _SECTIONS}}


def _read(path: str) -> Optional[dict[str, Any]]:
  try:
    with tf.io.gfile.GFile(path, "r") as file:
      return json.loads(file.read())
  except (tf.errors.OpError, ValueError):
    return None


def _differences(known: Any, wanted: Any) -> str:
  if known is None:
    return f"{_FILE} is missing or damaged"
  before, after = dict(_flat(known)), dict(_flat(wanted))
  changed = [key for key in (*after, *(before.keys() - after)) if before.get(key) != after.get(key)]
  shown = [
    f"{key} {before.get(key)} -> {after.get(key)}" for key in changed[:_MOST_DIFFERENCES_SHOWN]
  ]
  return ", ".join([*shown, *(["..."] if len(changed) > len(shown) else [])])


def _flat(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
  if not isinstance(content, dict):
    yield path, content
    return
  for key, value in content.items():
    yield from _flat(value, f"{path}.{key}" if path else key)


def _restored(own: HeavyRankerConfig, checkpoint: str) -> Baseline:
  ranker = build_model(own, weights_follow=True)
  restore_weights(ranker, checkpoint)
  known = list(own.model.tasks)

  @tf.function(autograph=False, reduce_retracing=True)
  def probabilities(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return ranker(features)["calibrated_probabilities"]

  def predict(features: Mapping[str, tf.Tensor], tasks: Sequence[str]) -> np.ndarray:
    found = probabilities({name: features[name] for name in ranker.input}).numpy()
    if not np.isfinite(found).all():
      raise CheckpointError(
        f"{checkpoint}: what {LOGISTIC_REGRESSION} predicts is not finite. Delete its folder and "
        f"lower evaluation.{LOGISTIC_REGRESSION}.learning_rate, or {_WITHOUT}"
      )
    return found[:, [known.index(task) for task in tasks]]

  return Baseline(LOGISTIC_REGRESSION, predict)
