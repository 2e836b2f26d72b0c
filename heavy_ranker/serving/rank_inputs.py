"""Which inputs of the signature `rank` are the user's, given once, and which a candidate's."""

from collections.abc import Mapping
from dataclasses import dataclass

from heavy_ranker.config import HeavyRankerConfig
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError

# The user's without being listed, where the model has them.
USER_FEATURES = ("user_embedding", "user_eng_embedding", "meta__user_id")
# How many of the best candidates `order` holds.
K = "k"
_KEY = "export.rank"


@dataclass(frozen=True)
class RankInput:
  """One input of the model, and which part of it belongs to the user.

  Attributes:
    name: its name in `serving_default`.
    width: how many columns it has there.
    user_columns: those that are the user's, in ascending order.
  """

  name: str
  width: int
  user_columns: tuple[int, ...] = ()

  @property
  def candidate_columns(self) -> tuple[int, ...]:
    """The other columns, in ascending order."""
    users = frozenset(self.user_columns)
    return tuple(column for column in range(self.width) if column not in users)

  @property
  def user_name(self) -> str:
    """What the user's part is called: the input's own name when it is all of it."""
    return f"user_{self.name}" if self.candidate_columns else self.name


def rank_inputs(config: HeavyRankerConfig, widths: Mapping[str, int]) -> tuple[RankInput, ...]:
  """Divides the inputs of `serving_default` between the user and the candidates.

  Args:
    config: the whole configuration.
    widths: width by name of the inputs that `serving_default` takes.

  Raises:
    ConfigError: `export.rank` names what is not among them, leaves nothing to the candidates, or
      two inputs of `rank` would have the same name.
  """
  section = config.export.rank
  whole = section.user_features
  if whole is None:
    listed = section.user_columns
    whole = [name for name in USER_FEATURES if name in widths and name not in listed]
  for index, name in enumerate(whole):
    _require_input(f"{_KEY}.user_features.{index}", name, widths)
  for name, columns in section.user_columns.items():
    _check_columns(f"{_KEY}.user_columns.{name}", name, columns, widths)
  columns = {name: range(widths[name]) for name in whole}
  columns.update({name: sorted(columns) for name, columns in section.user_columns.items()})
  inputs = tuple(
    RankInput(name, width, tuple(columns.get(name, ()))) for name, width in widths.items()
  )
  _check_names(inputs)
  return inputs


def _check_columns(key: str, name: str, columns: list[int], widths: Mapping[str, int]) -> None:
  _require_input(key, name, widths)
  if max(columns) >= widths[name]:
    raise ConfigError(
      f"{key}: found column {max(columns)}, allowed: 0 to {widths[name] - 1}, the columns that "
      "preprocessing leaves"
    )
  if len(columns) == widths[name]:
    raise ConfigError(
      f"{key}: found all {widths[name]} columns, allowed: some of them. An input that is the "
      f"user's as a whole belongs into {_KEY}.user_features"
    )


def _require_input(key: str, name: str, widths: Mapping[str, int]) -> None:
  if name not in widths:
    raise ConfigError(
      f"{key}: the export has no input {name!r}{did_you_mean(name, widths)}; allowed: "
      f"{', '.join(widths)}"
    )


def _check_names(inputs: tuple[RankInput, ...]) -> None:
  if not any(each.candidate_columns for each in inputs):
    raise ConfigError(
      f"{_KEY}.user_features: found every input, allowed: at most all but one, since nothing would "
      "tell the candidates apart"
    )
  names = [each.name for each in inputs if each.candidate_columns]
  names += [each.user_name for each in inputs if each.user_columns]
  for name in (*names, K):
    if [*names, K].count(name) > 1:
      raise ConfigError(
        f"{_KEY}: two inputs of the signature rank would be called {name!r}, allowed: names of "
        "their own. Name the feature otherwise under "
        "train_data.seg_dense_schema.renamed_features"
      )
