"""What is wrong with one record, feature by feature: exact and slow, for records that stand out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import tensorflow as tf

from tfrecords.schema import VARIABLE_LENGTH, Feature


@dataclass(frozen=True)
class Mistake:
  """Why a record cannot be read.

  Attributes:
    kind: a kind of finding, see `tfrecords.config.checks`.
    feature: its name in the record; empty when it is about the record as a whole.
    detail: what was found and what is allowed; the same for all records with the same mistake.
  """

  kind: str
  feature: str
  detail: str


@dataclass(frozen=True)
class RecordFacts:
  """One record compared with the schema, features by their names in the record.

  Attributes:
    mistakes: why it cannot be read; empty when it can.
    missing: features of the schema that it lacks.
    unexpected: features that it has and the schema does not.
  """

  mistakes: tuple[Mistake, ...] = ()
  missing: frozenset[str] = field(default_factory=frozenset)
  unexpected: tuple[str, ...] = ()


UNPARSABLE = Mistake("unparsable", "", "no tf.Example")


def facts_of(serialized: bytes, features: Mapping[str, Feature]) -> RecordFacts:
  """Parses a record with protobuf and compares it with the schema.

  Args:
    serialized: the record's data.
    features: the schema, by name in the record.
  """
  try:
    example = tf.train.Example.FromString(serialized)
    names = list(example.features.feature)
  except Exception:  # noqa: BLE001 - protobuf's DecodeError, which differs by version.
    return RecordFacts((UNPARSABLE,))
  mistakes, missing = [], []
  for name, feature in features.items():
    found = example.features.feature[name] if name in names else None
    kind = None if found is None else found.WhichOneof("kind")
    if kind is None:
      missing.append(name)
    elif kind != feature.dtype:
      mistakes.append(Mistake("wrong_dtype", name, f"holds {kind}, allowed: {feature.dtype}"))
    elif feature.length not in (VARIABLE_LENGTH, len(getattr(found, kind).value)):
      length = len(getattr(found, kind).value)
      detail = f"holds {length} value(s), allowed: {feature.length}"
      mistakes.append(Mistake("wrong_length", name, detail))
  unexpected = sorted(name for name in names if name not in features)
  return RecordFacts(tuple(mistakes), frozenset(missing), tuple(unexpected))
