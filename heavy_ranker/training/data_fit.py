"""What a new run learns about the training data before its first step."""

from typing import Optional

import numpy as np
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.layers.fitted_log import FittedLog
from heavy_ranker.layers.wide import Wide
from tfrecords.errors import DataError
from tfrecords.input_pipeline import InputPipeline

# Where nothing in the configuration says how many.
_NUM_EXAMPLES = 200_000


def fit_to_data(ranker: keras.Model, config: HeavyRankerConfig) -> Optional[str]:
  """Fits `fitted_log_config` and sets the bias of `wide_config` to the log odds of the labels.

  Reads the first examples of `train_data`, file after file; weights of sampling count.

  Args:
    ranker: the model from `build_model`, changed in place.
    config: the whole configuration.

  Returns:
    What was done, for people; None if there was nothing to fit.

  Raises:
    DataError: the records cannot be read, or there is none.
  """
  section = config.model.featurization_config.fitted_log_config
  layers = {layer.name: layer for layer in ranker.layers}
  wide = layers.get("wide")
  if section is None and wide is None:
    return None
  names = ("continuous", *config.model.featurization_config.feature_names_to_concat)
  features, rates = _read(config, section.num_examples if section else _NUM_EXAMPLES)
  if section is not None:
    featurization: FittedLog = layers["featurization"]
    featurization.fit([features[name] for name in names])
  if isinstance(wide, Wide):
    wide.bias.assign(np.log(rates / (1.0 - rates)))
  return f"fitted to the first {len(features[names[0]])} examples of train_data"


def _read(config: HeavyRankerConfig, limit: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Returns features by name and the weighted share of positives of each task, smoothed."""
  tasks = list(config.model.tasks)
  inputs = input_names(config, schema_widths(config))
  pipeline = InputPipeline(config.train_data, "evaluate", inputs, tasks)
  names = ("continuous", *config.model.featurization_config.feature_names_to_concat)
  batches: dict[str, list[np.ndarray]] = {name: [] for name in names}
  positives, total, examples = np.zeros(len(tasks)), np.zeros(len(tasks)), 0
  with pipeline.explained():
    for features, labels, weights in pipeline.dataset:
      for name in names:
        batches[name].append(features[name].numpy().astype(np.float32))
      of_tasks = [(labels[task].numpy(), weights[task].numpy()) for task in tasks]
      positives += [float(np.sum(label * weight)) for label, weight in of_tasks]
      total += [float(np.sum(weight)) for _, weight in of_tasks]
      examples += len(of_tasks[0][0])
      if examples >= limit:
        break
  if not examples:
    raise DataError("train_data: nothing was read, allowed: at least one record in its files")
  joined = {name: np.concatenate(parts)[:limit] for name, parts in batches.items()}
  return joined, (positives + 0.5) / (total + 1.0)
