"""Whether a model can be built, found out from the configuration and the widths of its inputs."""

from collections.abc import Mapping

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.fitted_log import FittedLogConfig
from heavy_ranker.config.model import DlrmConfig
from heavy_ranker.features import embedding_widths, input_names
from heavy_ranker.layers.architecture import takes_parts
from heavy_ranker.layers.tower import tower_name
from tfrecords.errors import ConfigError


def check_model(config: HeavyRankerConfig, widths: Mapping[str, int]) -> tuple[str, ...]:
  """Finds out whether the model can be built, without building it.

  Args:
    config: the whole configuration.
    widths: width by input name, see `heavy_ranker.features.schema_widths`.

  Returns:
    The model's inputs, see `heavy_ranker.features.input_names`.

  Raises:
    ConfigError: names the key that has to change.
  """
  names = input_names(config, widths)
  towers: dict[str, str] = {}
  for task in config.model.tasks:
    other = towers.setdefault(tower_name(task), task)
    if other != task:
      raise ConfigError(
        f"model.tasks.{task}: its tower would bear the name of {other!r}'s, {tower_name(task)}; "
        "allowed: names that differ in letters, digits and .-_"
      )
  if config.model.featurization_config.fitted_log_config is not None:
    _check_columns(config.model.featurization_config.fitted_log_config, widths["continuous"])
  embeddings = embedding_widths(config, widths)
  architectures = {f"tasks.{task}": tower for task, tower in config.model.tasks.items()}
  for path, architecture in {"backbone": config.model.backbone, **architectures}.items():
    if architecture is not None and takes_parts(architecture):
      _check_dlrm(architecture.dlrm_config, embeddings, f"model.{path}.dlrm_config")
  return names


def _check_columns(config: FittedLogConfig, width: int) -> None:
  """The columns of `continuous` that a featurization names exist, and some of them are kept.

  Raises:
    ConfigError: names the key and the column.
  """
  lists = {"leave_out": config.leave_out, "no_pieces_of": config.no_pieces_of}
  for index, rates in enumerate(config.rates):
    lists[f"rates.{index}.of"], lists[f"rates.{index}.per"] = rates.of, [rates.per]
  path = "model.featurization_config.fitted_log_config"
  for key, columns in lists.items():
    if columns and max(columns) >= width:
      raise ConfigError(
        f"{path}.{key}: found column {max(columns)}, allowed: 0 to {width - 1}, since "
        f"'continuous' has {width} columns"
      )
  if len(config.leave_out) == width:
    raise ConfigError(f"{path}.leave_out: found every column, allowed: not all of them")


def _check_dlrm(config: DlrmConfig, widths: Mapping[str, int], path: str) -> None:
  """Dot products need vectors of one width, here those of the embeddings.

  Raises:
    ConfigError: there is no embedding, or the widths differ.
  """
  if not widths:
    raise ConfigError(f"{path}: found no embedding among the inputs, allowed: at least one")
  if len(set(widths.values())) > 1:
    found = ", ".join(f"{width} ({name})" for name, width in widths.items())
    raise ConfigError(f"{path}: found embeddings of widths {found}, allowed: one width")
  bottom, width = config.bottom_mlp.layer_sizes[-1], next(iter(widths.values()))
  if bottom != width:
    raise ConfigError(
      f"{path}.bottom_mlp.layer_sizes: the last size is {bottom}, allowed: {width}, the width "
      "of the embeddings"
    )
