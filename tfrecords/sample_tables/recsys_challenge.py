"""Made-up rows in the format of the RecSys Challenge of 2020 and 2021 (Twitter).

No header; fields parted by the byte 1, lists by tabs; `true` and `false`; empty is missing. The
columns are those of configs/mappings/recsys_challenge.yaml, in order.
"""

import hashlib

import numpy as np
import pyarrow as pa

from tfrecords import random_streams

DELIMITER = "\x01"
ENGAGEMENTS = (
  "reply_timestamp",
  "retweet_timestamp",
  "retweet_with_comment_timestamp",
  "like_timestamp",
)
_BEGIN = 1_580_947_200  # 2020-02-06 00:00:00 UTC.
_DAYS = 7
_MEDIA = ("Photo", "Video", "GIF")
_TYPES = ("TopLevel", "Retweet", "Quote")
_USERS, _LANGUAGES = 400, 12
_BIAS = {
  "reply_timestamp": -4.0,
  "retweet_timestamp": -2.5,
  "retweet_with_comment_timestamp": -4.5,
  "like_timestamp": -0.5,
}


def recsys_challenge_table(n_rows: int, seed: int, with_labels: bool = True) -> pa.Table:
  """Returns rows as texts, in no order of time, whose engagements can be learned.

  Args:
    n_rows: how many.
    seed: the same seed gives the same rows.
    with_labels: the validation files of 2020 lack the four last columns.
  """
  random = random_streams.stream(seed, "recsys_challenge")
  time = _BEGIN + random.integers(0, _DAYS * 86400, n_rows)
  author, viewer = _users(random, n_rows), _users(random, n_rows)
  photo = random.random(n_rows) < 0.4
  kind = random.choice(3, n_rows, p=[0.5, 0.35, 0.15])
  follows = random.random(n_rows) < 0.5
  columns = {
    "text_tokens": [
      "101\t" + "\t".join(map(str, row)) for row in random.integers(1, 9999, (n_rows, 4))
    ],
    "hashtags": _lists(random, n_rows, 0.2, "hashtag"),
    "tweet_id": [_hash(f"tweet {number}") for number in random.integers(0, 10 * n_rows, n_rows)],
    "present_media": [_media(random, one) for one in photo],
    "present_links": _lists(random, n_rows, 0.1, "link"),
    "present_domains": _lists(random, n_rows, 0.1, "domain"),
    "tweet_type": np.array(_TYPES)[kind],
    "language": [_hash(f"language {number}") for number in _zipf(random, n_rows, _LANGUAGES)],
    "tweet_timestamp": time,
    **{f"engaged_with_user_{key}": of for key, of in author.items()},
    **{f"engaging_user_{key}": of for key, of in viewer.items()},
    "engagee_follows_engager": _booleans(follows),
  }
  fame = np.log1p(author["follower_count"]) - 6
  for name in ENGAGEMENTS if with_labels else ():
    logit = _BIAS[name] + 0.5 * fame + 1.2 * photo + follows - 0.8 * (kind == 1)
    engaged = random.random(n_rows) < 1 / (1 + np.exp(-logit))
    columns[name] = np.where(engaged, (time + random.integers(1, 86400, n_rows)).astype(str), "")
  return pa.table({name: pa.array([str(cell) for cell in of]) for name, of in columns.items()})


def _users(random: np.random.Generator, n_rows: int) -> dict[str, object]:
  number = random.integers(0, _USERS, n_rows)
  followers = random.lognormal(6, 2, _USERS).astype(np.int64)
  following = random.lognormal(5, 1, _USERS).astype(np.int64)
  created = _BEGIN - random.integers(86400, 12 * 365 * 86400, _USERS)
  return {
    "id": [_hash(f"user {user}") for user in number],
    "follower_count": followers[number],
    "following_count": following[number],
    "is_verified": _booleans(followers[number] > 10_000),
    "account_creation": created[number],
  }


def _booleans(flags: np.ndarray) -> np.ndarray:
  return np.where(flags, "true", "false")


def _media(random: np.random.Generator, has_photo: bool) -> str:
  if has_photo:
    return "\t".join(["Photo"] * int(random.integers(1, 5)))
  return str(random.choice(["", *_MEDIA[1:]], p=[0.8, 0.15, 0.05]))


def _lists(random: np.random.Generator, n_rows: int, share: float, kind: str) -> list[str]:
  lengths = np.where(random.random(n_rows) < share, random.integers(1, 4, n_rows), 0)
  return [
    "\t".join(_hash(f"{kind} {number}") for number in random.integers(0, 1000, length))
    for length in lengths
  ]


def _zipf(random: np.random.Generator, n_rows: int, n_values: int) -> np.ndarray:
  chances = 1 / np.arange(1, n_values + 1)
  return random.choice(n_values, n_rows, p=chances / chances.sum())


def _hash(text: str) -> str:
  return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
