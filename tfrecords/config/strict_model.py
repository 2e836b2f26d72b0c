"""The base of every configuration section: strict keys, "one of" groups, readable errors."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import pydantic
from pydantic_core import PydanticCustomError

from tfrecords.errors import ConfigError


class StrictModel(pydantic.BaseModel):
  """A section of the configuration.

  An unknown key is an error that names the nearest known one. An explicit null counts as absent.
  A boolean is no number; a number may be written as text, as YAML takes 1e-3 for.
  Subclasses may declare:

  Attributes:
    exactly_one_of: groups of keys of which exactly one has to be given.
    at_most_one_of: groups of keys of which no two may be given.
  """

  model_config = pydantic.ConfigDict(
    extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
  )

  exactly_one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()
  at_most_one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()

  @pydantic.model_validator(mode="before")
  @classmethod
  def _check_keys(cls, data: Any) -> Any:
    if data is None:
      return {}
    if isinstance(data, cls):
      return data
    if not isinstance(data, Mapping):
      raise PydanticCustomError(
        "not_a_mapping",
        "found {found}, allowed: a mapping with keys out of {known}",
        {"found": describe(data), "known": ", ".join(cls.model_fields)},
      )
    unknown = [str(key) for key in data if key not in cls.model_fields]
    if unknown:
      hints = [did_you_mean(key, cls.model_fields) for key in unknown]
      raise PydanticCustomError(
        "unknown_keys",
        "allowed here: {known}",
        {"keys": unknown, "hints": hints, "known": ", ".join(cls.model_fields)},
      )
    return {key: value for key, value in data.items() if value is not None}

  @pydantic.field_validator("*", mode="before")
  @classmethod
  def _check_numbers(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
    for path in _misplaced_booleans(cls.model_fields[info.field_name].annotation, value):
      if not path:
        raise PydanticCustomError("boolean", "a number; true and false are none")
      where = ".".join(map(str, path))
      raise inconsistent(f"{where}: found a boolean, allowed: a number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
      raise PydanticCustomError("too_large", "numbers of at most 64 bits")
    return value

  @pydantic.model_validator(mode="after")
  def _check_groups(self) -> "StrictModel":
    for groups, none_allowed in ((self.exactly_one_of, False), (self.at_most_one_of, True)):
      for group in groups:
        given = [key for key in group if getattr(self, key) is not None]
        if len(given) == 1 or (none_allowed and not given):
          continue
        raise PydanticCustomError(
          "one_of",
          "found {found}, allowed: {amount} one of {group}",
          {
            "found": " and ".join(given) if given else "none of them",
            "amount": "at most" if none_allowed else "exactly",
            "group": ", ".join(group),
          },
        )
    return self


def _misplaced_booleans(annotation: Any, value: Any, path: tuple = ()) -> Iterable[tuple]:
  """Yields the path, within lists and mappings, of each boolean where a number is wanted."""
  origin, arguments = get_origin(annotation), get_args(annotation)
  if isinstance(value, bool) and annotation in (int, float):
    yield path
  elif origin in (Union, Annotated):
    for argument in arguments:
      yield from _misplaced_booleans(argument, value, path)
  elif origin is list and isinstance(value, list):
    for index, item in enumerate(value):
      yield from _misplaced_booleans(arguments[0], item, (*path, index))
  elif origin is dict and isinstance(value, Mapping):
    for key, item in value.items():
      yield from _misplaced_booleans(arguments[1], item, (*path, key))


def did_you_mean(name: str, known: Iterable[str]) -> str:
  """Returns ", did you mean 'x'?" for the known name nearest to `name`, or an empty string."""
  nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f", did you mean {nearest[0]!r}?" if nearest else ""


def describe(value: Any) -> str:
  """Returns a value with its type, shortened, the way error messages show what was found."""
  try:
    text = repr(value)
  except ValueError:  # Python writes no integer of more than 4300 digits.
    text = "a number too long to write"
  return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def validate(model: type, data: Any, origin: str) -> Any:
  """Builds `model` from parsed YAML.

  Args:
    model: the StrictModel subclass to build.
    data: what the YAML holds: mappings, lists and scalars.
    origin: what to call the source in errors, such as the file's path.

  Raises:
    ConfigError: names each offending key with its full path, what was found and what is allowed.
  """
  try:
    return model.model_validate(data)
  except pydantic.ValidationError as error:
    problems = [line for problem in error.errors() for line in _describe_problem(problem)]
    raise ConfigError(
      "\n  ".join([f"{origin}: the configuration cannot be used:", *problems])
    ) from None


def _describe_problem(problem: Mapping[str, Any]) -> list[str]:
  if problem["type"] != "unknown_keys":
    return [_describe_one(problem)]
  named = zip(problem["ctx"]["keys"], problem["ctx"]["hints"])
  return [
    f"{'.'.join(map(str, (*problem['loc'], key)))}: unknown key{hint}; {problem['msg']}"
    for key, hint in named
  ]


def _describe_one(problem: Mapping[str, Any]) -> str:
  path = ".".join(str(part) for part in problem["loc"]) or "the top level"
  kind = problem["type"]
  if kind == "inconsistent":
    return ".".join(map(str, (*problem["loc"], problem["msg"])))
  if kind in ("one_of", "not_a_mapping"):
    return f"{path}: {problem['msg']}"
  if kind == "missing":
    return f"{path}: found nothing, allowed: a value has to be given"
  allowed = problem["msg"].replace("Input should be ", "").replace("Value error, ", "")
  return f"{path}: found {describe(problem['input'])}, allowed: {allowed}"


def inconsistent(message: str) -> PydanticCustomError:
  """Returns the error a section's own validator raises when its keys contradict each other."""
  return PydanticCustomError("inconsistent", "{message}", {"message": message})
