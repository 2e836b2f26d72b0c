"""What packing fixes: how each feature and each label came out of the records.

A recipe is plain data, made of the configuration and the schema alone. Packing writes it down;
reading makes it again out of its own configuration and compares.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfrecords.preprocessing import Preprocessor
from tfrecords.schema import VARIABLE_LENGTH, Feature

Recipe = dict[str, Any]


def feature_recipe(
  name: str, features: Mapping[str, Feature], preprocessor: Preprocessor
) -> Recipe:
  """Returns how a feature comes about.

  Args:
    name: inside the model; of a feature after preprocessing.
    features: those of the data section, by name inside the model.
    preprocessor: the section's.
  """
  source, column = preprocessor.origin(name)
  feature = features[source]
  recipe: Recipe = {
    "record_name": feature.record_name,
    "dtype": feature.dtype,
    "length": feature.length,
    "columns": "all",
    "masked_mantissa_bits": feature.masked_mantissa_bits,
    "downcast": preprocessor.downcast(source),
    "extracted_column": column,
  }
  if feature.length != VARIABLE_LENGTH:
    recipe["columns"] = ranges(preprocessor.columns(feature))
  return recipe


def label_recipe(task: str, features: Mapping[str, Feature], preprocessor: Preprocessor) -> Recipe:
  """Returns how a label comes about: its rectification, if any, with the names in the records."""
  rectified = preprocessor.rectification(task)
  if rectified is None:
    return {"rectified": None}
  window, timestamps = rectified
  return {
    "rectified": {
      "window_in_hours": window,
      "timestamps": [features[name].record_name for name in timestamps],
    }
  }


def ranges(columns: np.ndarray) -> str:
  """Returns ascending columns as text such as "0-2116,2120"."""
  if not len(columns):
    return ""
  ends = np.flatnonzero(np.diff(columns) != 1)
  firsts = columns[np.concatenate([[0], ends + 1])]
  lasts = columns[np.concatenate([ends, [len(columns) - 1]])]
  return ",".join(
    str(first) if first == last else f"{first}-{last}" for first, last in zip(firsts, lasts)
  )


def differences(packed: Recipe, wanted: Recipe) -> Iterable[str]:
  """Yields what a recipe says otherwise than another one."""
  for key in dict.fromkeys([*packed, *wanted]):
    if packed.get(key) != wanted.get(key):
      found, asked = _short(packed.get(key)), _short(wanted.get(key))
      yield f"{key} is {found} in the packed records and {asked} in the configuration"


def digest(content: Any) -> str:
  """Returns the SHA-256 of plain data."""
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _short(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 60 else f"{text[:57]}..."
