"""What configuration and schema alone show to be impossible, found before any record is read."""

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import schema_widths, unread_in_serving
from heavy_ranker.model_check import check_model
from heavy_ranker.serving.rank_inputs import rank_inputs
from tfrecords.errors import ConfigError
from tfrecords.input_pipeline import BatchPlan


def check_config(config: HeavyRankerConfig, with_partitions: bool = True) -> None:
  """Finds out whether a model can be built and fed; takes no longer than reading the schemas.

  Args:
    config: the whole configuration.
    with_partitions: looks at `validation_data`, too, which an export does not need.

  Raises:
    ConfigError: names the key that has to change.
    DataError: a schema or mask file cannot be used.
  """
  widths = schema_widths(config)
  inputs = check_model(config, widths)
  BatchPlan(config.train_data, "train", inputs, config.model.tasks)
  unread = unread_in_serving(config)
  rank_inputs(config, {name: widths[name] for name in inputs if name not in unread})
  for name, partition in config.validation_data.items() if with_partitions else ():
    key = f"validation_data.{name}"
    tasks = partition.evaluation_tasks or config.model.tasks
    BatchPlan(partition, "evaluate", inputs, tasks, key)
    found = schema_widths(config, name)
    for feature in inputs:
      if found.get(feature) != widths[feature]:
        raise ConfigError(
          f"{key}.preprocess: {feature!r} has {found.get(feature)} columns, allowed: "
          f"{widths[feature]}, as in train_data"
        )
