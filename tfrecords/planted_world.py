"""The made-up users, authors and Tweets of planted data: what their features look like.

Every user gets CANDIDATES_PER_USER candidate Tweets, one row each; the rows of a user follow one
another and share the user's id, embeddings and a quarter of the continuous features.

* Users and authors have an interest vector in R^3, normally distributed. Their embeddings are a
  fixed linear image of it plus noise, scaled to length 1, so that the cosine of a user's and an
  author's embedding says how well the two match. The authors are the same N_AUTHORS for every
  seed; users are new ones.
* A continuous feature j is a count: round(exp(m_j + s_j z)) with z normal, m_j in [0.3, 3.5] and
  s_j in [0.6, 1.6], hence heavy-tailed; half of them round down to whole numbers (plain counts),
  the others to sixty-fourths (counts that decay with time). A third of the features is moreover 0
  in 20 % to 60 % of all cases. One in eight is signed: sign(z) (exp(s_j |z|) - 1).
* A binary feature is 1 with its own chance between 15 % and 60 %.
"""

from collections.abc import Callable, Mapping
from typing import Optional

import numpy as np

from tfrecords.random_streams import stream
from tfrecords.schema import VARIABLE_LENGTH, Feature

CANDIDATES_PER_USER = 20
N_AUTHORS = 4096
# The planted labels look at the first columns only: truncation in a configuration keeps them.
INFORMATIVE_CONTINUOUS = 16
INFORMATIVE_BINARY = 8

_INTEREST_DIMENSIONS = 3
_EMBEDDING_NOISE = 0.1
_ENGAGEMENT_INTEREST_SHARE = 0.7
_STEPS_PER_UNIT = 64
_LARGEST_ID = 2**63 - 1
_FLOATS = ("continuous", "user_embedding", "user_eng_embedding", "author_embedding")
_IDS = ("meta__user_id", "meta__author_id", "meta__tweet_id")

Streams = Callable[[str], np.random.Generator]


class PlantedWorld:
  """Draws the features that have a meaning in planted data.

  Args:
    features: a record's features, by name inside the model. Those named `continuous`, `binary`,
      `user_embedding`, `user_eng_embedding`, `author_embedding`, `meta__user_id`,
      `meta__author_id` and `meta__tweet_id` have a meaning; any of them may be missing.
    teacher_seed: decides everything that all users share: the columns' distributions, the
      authors and what the embeddings' dimensions mean.

  Attributes:
    lengths: length by name of the features it draws.
  """

  def __init__(self, features: Mapping[str, Feature], teacher_seed: int):
    self.lengths = {name: f.length for name, f in features.items() if _has_meaning(name, f)}
    self._columns = _ContinuousColumns(self.lengths.get("continuous", 0), teacher_seed)
    random = stream(teacher_seed, "binary rates")
    self._binary_rates = random.uniform(0.15, 0.6, self.lengths.get("binary", 0))
    longest = max(self.lengths.values(), default=0)
    random = stream(teacher_seed, "embedding directions")
    self._directions = random.standard_normal((longest, _INTEREST_DIMENSIONS)).T
    random = stream(teacher_seed, "authors")
    self._author_ids = random.integers(1, _LARGEST_ID, N_AUTHORS, endpoint=True)
    interests = random.standard_normal((N_AUTHORS, _INTEREST_DIMENSIONS))
    self._author_embeddings = self._embed(interests, "author_embedding", random)

  def draw(self, streams: Streams, n_users: int, informative_only: bool = False) -> dict:
    """Draws users with their candidates.

    Args:
      streams: the random generator of a quantity, by its name.
      n_users: gives n_users * CANDIDATES_PER_USER rows.
      informative_only: leaves the columns out that no label depends on; the others keep their
        values.

    Returns:
      Arrays [rows, length] by name inside the model: float32 for `continuous` and the
      embeddings, int64 for the others.
    """
    drawn = {**self._draw_users(streams, n_users), **self._draw_authors(streams, n_users)}
    if "continuous" in self.lengths:
      drawn["continuous"] = self._columns.draw(streams, n_users, informative_only)
    if "binary" in self.lengths:
      drawn["binary"] = self._draw_binary(streams, n_users, informative_only)
    if "meta__tweet_id" in self.lengths:
      drawn["meta__tweet_id"] = _ids(streams("tweets"), n_users * CANDIDATES_PER_USER)
    return drawn

  def _draw_binary(self, streams: Streams, n_users: int, informative_only: bool) -> np.ndarray:
    parts = [("binary", self._binary_rates[:INFORMATIVE_BINARY])]
    if not informative_only:
      parts.append(("other binary", self._binary_rates[INFORMATIVE_BINARY:]))
    columns = [
      streams(name).random((n_users * CANDIDATES_PER_USER, len(rates)), np.float32) < rates
      for name, rates in parts
    ]
    return np.concatenate(columns, axis=1).astype(np.int64)

  def _draw_users(self, streams: Streams, n_users: int) -> dict[str, np.ndarray]:
    random = streams("users")
    ids = _ids(random, n_users)
    followed = random.standard_normal((n_users, _INTEREST_DIMENSIONS))
    other = random.standard_normal((n_users, _INTEREST_DIMENSIONS))
    share = _ENGAGEMENT_INTEREST_SHARE
    engaged = share * followed + np.sqrt(1 - share**2) * other
    of_users = {
      "meta__user_id": ids,
      "user_embedding": self._embed(followed, "user_embedding", random),
      "user_eng_embedding": self._embed(engaged, "user_eng_embedding", random),
    }
    return {
      name: np.repeat(values, CANDIDATES_PER_USER, axis=0)
      for name, values in of_users.items()
      if name in self.lengths
    }

  def _draw_authors(self, streams: Streams, n_users: int) -> dict[str, np.ndarray]:
    chosen = streams("authors").integers(0, N_AUTHORS, n_users * CANDIDATES_PER_USER)
    of_authors = {
      "meta__author_id": self._author_ids[:, np.newaxis],
      "author_embedding": self._author_embeddings,
    }
    return {name: of[chosen] for name, of in of_authors.items() if name in self.lengths}

  def _embed(
    self, interests: np.ndarray, name: str, random: np.random.Generator
  ) -> Optional[np.ndarray]:
    length = self.lengths.get(name)
    if length is None:
      return None
    noise = random.standard_normal((len(interests), length))
    image = interests @ self._directions[:, :length] / np.sqrt(_INTEREST_DIMENSIONS)
    embedding = image + _EMBEDDING_NOISE * noise
    return (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)).astype(np.float32)


class _ContinuousColumns:
  """The distributions of the continuous features."""

  def __init__(self, n_columns: int, teacher_seed: int):
    random = stream(teacher_seed, "continuous columns")
    self._location = random.uniform(0.3, 3.5, n_columns).astype(np.float32)
    self._spread = random.uniform(0.6, 1.6, n_columns).astype(np.float32)
    mostly_zero = random.random(n_columns) < 1 / 3
    self._zero_share = np.where(mostly_zero, random.uniform(0.2, 0.6, n_columns), 0.0)
    self._whole = random.random(n_columns) < 1 / 2
    self._signed = random.random(n_columns) < 1 / 8
    self._of_user = random.random(n_columns) < 1 / 4

  def draw(self, streams: Streams, n_users: int, informative_only: bool) -> np.ndarray:
    informative = slice(0, INFORMATIVE_CONTINUOUS)
    drawn = self._draw(streams("continuous"), n_users, informative)
    if informative_only:
      return drawn
    others = slice(INFORMATIVE_CONTINUOUS, None)
    return np.concatenate([drawn, self._draw(streams("other continuous"), n_users, others)], axis=1)

  def _draw(self, random: np.random.Generator, n_users: int, columns: slice) -> np.ndarray:
    location, spread = self._location[columns], self._spread[columns]
    shape = (n_users, CANDIDATES_PER_USER, len(location))
    normal = random.standard_normal(shape, np.float32)
    values = np.exp(location + spread * normal)
    signed = self._signed[columns]
    values[..., signed] = np.sign(normal[..., signed]) * np.expm1(
      spread[signed] * np.abs(normal[..., signed])
    )
    values[random.random(shape, np.float32) < self._zero_share[columns]] = 0.0
    steps = np.where(self._whole[columns] & ~signed, 1, _STEPS_PER_UNIT).astype(np.float32)
    values = np.floor(values * steps) / steps
    of_user = self._of_user[columns]
    values[..., of_user] = values[:, :1, of_user]
    return values.reshape(n_users * CANDIDATES_PER_USER, len(location))


def _has_meaning(name: str, feature: Feature) -> bool:
  if feature.length == VARIABLE_LENGTH:
    return False
  if name in _IDS:
    return feature.dtype == "int64_list" and feature.length == 1
  if name in _FLOATS:
    return feature.dtype == "float_list"
  return name == "binary" and feature.dtype != "bytes_list"


def _ids(random: np.random.Generator, size: int) -> np.ndarray:
  return random.integers(1, _LARGEST_ID, (size, 1), endpoint=True)
