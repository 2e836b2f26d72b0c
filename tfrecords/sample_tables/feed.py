"""A made-up feed's impressions, as CSV: the tutorial's table."""

import numpy as np
import pyarrow as pa

from tfrecords import random_streams

_BEGIN = 1_700_000_000  # 2023-11-14 22:13:20 UTC.
_DAYS = 10
_KINDS = ("text", "photo", "video")
_LANGUAGES = ("en", "es", "ja", "pt", "tr")
_USERS, _AUTHORS = 500, 200


def feed_table(n_rows: int, seed: int) -> pa.Table:
  """Returns impressions of ten days, in order of time, whose likes and replies can be learned.

  Some cells are missing, as in any log: `length_s` of what is no video, and some of `language`.
  """
  random = random_streams.stream(seed, "feed")
  user, author = random.integers(0, _USERS, n_rows), random.integers(0, _AUTHORS, n_rows)
  user_taste = random.normal(size=(_USERS, 3))[user]
  author_fame = random.lognormal(5, 2, _AUTHORS)[author]
  kind, language = random.integers(0, 3, n_rows), random.integers(0, 5, n_rows)
  age = random.exponential(6, n_rows)
  follows = (random.random(n_rows) < 0.4).astype(np.int64)
  liking = user_taste[np.arange(n_rows), kind] + 0.3 * np.log(author_fame) - 0.15 * age
  watched = np.clip(random.beta(2, 3, n_rows) + 0.1 * user_taste[:, 2], 0, 1)
  length = random.integers(5, 180, n_rows)
  is_video = kind == _KINDS.index("video")
  return pa.table(
    {
      "time": np.sort(_BEGIN + random.integers(0, _DAYS * 86400, n_rows)),
      "user": [f"user-{number}" for number in user],
      "author": [f"author-{number}" for number in author],
      "author_followers": np.round(author_fame).astype(np.int64),
      "post_age_h": np.round(age, 3),
      "follows_author": follows,
      "kind": np.array(_KINDS)[kind],
      "language": pa.array(np.array(_LANGUAGES)[language], mask=random.random(n_rows) < 0.02),
      "length_s": pa.array(length, mask=~is_video),
      "watched_s": np.where(is_video, np.round(watched * length), 0).astype(np.int64),
      "likes": _drawn(random, liking + follows - 3.0),
      "replies": _drawn(random, 0.6 * liking + 1.5 * follows - 4.5),
    }
  )


def _drawn(random: np.random.Generator, logit: np.ndarray) -> np.ndarray:
  return (random.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(np.int64)
