"""The teacher of planted data: the true probability of every engagement, given the features.

With s the standardized log1p of the first 16 continuous features and the standardized first 8
binary ones, c1 and c2 the standardized cosines between the author's embedding and the user's
follow and engagement embeddings:

    f_k = standardize(sum_j w_kj s_j)        k = 1, 2, 3; each over 8 features
    f_4 = standardize(tanh(f_1 f_2))         an interaction
    f_5 = c1,  f_6 = c2                      the match of user and author
    o_t = standardize(sum_j v_tj s_j)        a task's own term, over 4 features
    z_t = standardize(a_t * sum_k l_tk f_k + 0.15 |l_t| o_t)
    logit_t = b_t + 1.8 z_t,   probability_t = 1 / (1 + exp(-logit_t))

The six f are shared by all tasks: a_t is -1 for the negative engagements (less of it, report) and
+1 for all others, so what makes a like likely makes a report unlikely. w, v and the loadings l
(between 0.6 and 1) are drawn from the teacher's seed (l and v from the task's name, too: other
tasks change nothing).
Labels are independent given the features. b_t puts the mean probability on POSITIVE_RATES; it is
found by bisection over a sample that depends on the teacher's seed alone, as do the means and
deviations behind "standardize".
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfrecords.planted_world import INFORMATIVE_BINARY, INFORMATIVE_CONTINUOUS, PlantedWorld
from tfrecords.random_streams import stream

# Share of positives by task.
POSITIVE_RATES = {
  "recap.engagement.is_bookmarked": 0.008,
  "recap.engagement.is_favorited": 0.1,
  "recap.engagement.is_good_clicked_convo_desc_favorited_or_replied": 0.03,
  "recap.engagement.is_good_clicked_convo_desc_v2": 0.04,
  "recap.engagement.is_negative_feedback_v2": 0.004,
  "recap.engagement.is_profile_clicked_and_profile_engaged": 0.01,
  "recap.engagement.is_replied": 0.015,
  "recap.engagement.is_replied_reply_engaged_by_author": 0.005,
  "recap.engagement.is_report_tweet_clicked": 0.001,
  "recap.engagement.is_retweeted": 0.02,
  "recap.engagement.is_shared": 0.006,
  "recap.engagement.is_tweet_detail_dwelled_15_sec": 0.08,
  "recap.engagement.is_video_playback_50": 0.3,
}
DEFAULT_POSITIVE_RATE = 0.05
NEGATIVE_TASKS = (
  "recap.engagement.is_negative_feedback_v2",
  "recap.engagement.is_report_tweet_clicked",
)

_LOGIT_DEVIATION = 1.8
_OWN_TERM = 0.15
_N_LINEAR_FACTORS = 3
_FEATURES_A_FACTOR = 8
_FEATURES_A_TASK = 4
_CALIBRATION_BLOCKS = 20
_CALIBRATION_USERS_A_BLOCK = 125
_BISECTIONS = 50
_SIMILARITIES = (
  ("user_embedding", "author_embedding"),
  ("user_eng_embedding", "author_embedding"),
)


class Teacher:
  """Gives every example its true probabilities; the formula stands at the top of this file.

  Args:
    world: what the features look like.
    tasks: the tasks to teach, at least one.
    teacher_seed: the teacher is a function of this seed, the features' lengths and the tasks'
      names.
  """

  def __init__(self, world: PlantedWorld, tasks: Sequence[str], teacher_seed: int):
    self.tasks = tuple(tasks)
    streams = functools.partial(stream, teacher_seed)
    evidence, similarities = _sample(world, teacher_seed)
    self._standardize_evidence = _Standardizer(evidence)
    evidence = self._standardize_evidence(evidence)
    self._factors = _SharedFactors(evidence, similarities, streams)
    factors = self._factors(evidence, similarities)

    self._own_weights = np.stack(
      [
        _sparse_weights(streams(f"own term {task}"), evidence.shape[1], _FEATURES_A_TASK)
        for task in tasks
      ],
      axis=1,
    )
    self._standardize_own = _Standardizer(evidence @ self._own_weights)
    loadings = [_loadings(streams(f"loadings {task}"), task, factors.shape[1]) for task in tasks]
    self._loadings = np.stack(loadings, axis=1)

    combined = self._combine(factors, evidence)
    self._standardize_combined = _Standardizer(combined)
    slopes = _LOGIT_DEVIATION * self._standardize_combined(combined)
    rates = [POSITIVE_RATES.get(task, DEFAULT_POSITIVE_RATE) for task in tasks]
    self._intercepts = _calibrate(slopes, np.array(rates))

  def logits(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the true logits, float64 [rows, tasks].

    Args:
      features: raw values [rows, length] by name inside the model, as the records hold them;
        truncated ones do as long as the informative columns are left.
    """
    evidence = self._standardize_evidence(_evidence(features))
    combined = self._combine(self._factors(evidence, _similarities(features)), evidence)
    return self._intercepts + _LOGIT_DEVIATION * self._standardize_combined(combined)

  def probabilities(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the true probabilities, float64 [rows, tasks]; see `logits`."""
    return _sigmoid(self.logits(features))

  def _combine(self, factors: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    own = self._standardize_own(evidence @ self._own_weights)
    own_loadings = _OWN_TERM * np.linalg.norm(self._loadings, axis=0)
    return factors @ self._loadings + own * own_loadings


class _SharedFactors:
  """The factors f_1 to f_6 that all tasks share."""

  def __init__(
    self,
    evidence: np.ndarray,
    similarities: np.ndarray,
    streams: Callable[[str], np.random.Generator],
  ):
    weights = [
      _sparse_weights(streams(f"factor {factor}"), evidence.shape[1], _FEATURES_A_FACTOR)
      for factor in range(_N_LINEAR_FACTORS)
    ]
    self._weights = np.stack(weights, axis=1)
    self._standardize_linear = _Standardizer(evidence @ self._weights)
    linear = self._standardize_linear(evidence @ self._weights)
    self._standardize_interaction = _Standardizer(_interaction(linear))
    self._standardize_similarities = _Standardizer(similarities)

  def __call__(self, evidence: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    linear = self._standardize_linear(evidence @ self._weights)
    interaction = self._standardize_interaction(_interaction(linear))
    return np.concatenate(
      [linear, interaction, self._standardize_similarities(similarities)], axis=1
    )


class _Standardizer:
  """Shifts and scales columns by the mean and deviation of a sample; constant columns give 0."""

  def __init__(self, sample: np.ndarray):
    self._mean = sample.mean(axis=0)
    deviation = sample.std(axis=0)
    self._scale = np.where(deviation > 1e-9, 1.0 / np.maximum(deviation, 1e-9), 0.0)

  def __call__(self, values: np.ndarray) -> np.ndarray:
    return (values - self._mean) * self._scale


def _sample(world: PlantedWorld, teacher_seed: int) -> tuple[np.ndarray, np.ndarray]:
  """Draws what the teacher is calibrated on: evidence and similarities of many examples."""
  evidence, similarities = [], []
  for block in range(_CALIBRATION_BLOCKS):
    streams = functools.partial(_calibration_stream, teacher_seed, block)
    features = world.draw(streams, _CALIBRATION_USERS_A_BLOCK, informative_only=True)
    evidence.append(_evidence(features))
    similarities.append(_similarities(features))
  return np.concatenate(evidence), np.concatenate(similarities)


def _calibration_stream(teacher_seed: int, block: int, name: str) -> np.random.Generator:
  return stream(teacher_seed, f"calibration {name}", block)


def _evidence(features: Mapping[str, np.ndarray]) -> np.ndarray:
  n_rows = len(next(iter(features.values()))) if features else 1
  columns = [np.zeros((n_rows, 0))]
  if "continuous" in features:
    values = features["continuous"][:, :INFORMATIVE_CONTINUOUS].astype(np.float64)
    columns.append(np.sign(values) * np.log1p(np.abs(values)))
  if "binary" in features:
    columns.append(features["binary"][:, :INFORMATIVE_BINARY].astype(np.float64))
  return np.concatenate(columns, axis=1)


def _similarities(features: Mapping[str, np.ndarray]) -> np.ndarray:
  n_rows = len(next(iter(features.values()))) if features else 1
  columns = [np.zeros((n_rows, 0))]
  for left, right in _SIMILARITIES:
    if left in features and right in features:
      columns.append(_cosine(features[left], features[right])[:, np.newaxis])
  return np.concatenate(columns, axis=1)


def _cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
  length = min(left.shape[1], right.shape[1])
  left, right = left[:, :length].astype(np.float64), right[:, :length].astype(np.float64)
  norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
  return np.sum(left * right, axis=1) / np.maximum(norms, 1e-9)


def _interaction(factors: np.ndarray) -> np.ndarray:
  return np.tanh(factors[:, :1] * factors[:, 1:2])


def _sparse_weights(random: np.random.Generator, size: int, n_nonzero: int) -> np.ndarray:
  weights = np.zeros(size)
  chosen = random.permutation(size)[:n_nonzero]
  signs = random.choice([-1.0, 1.0], len(chosen))
  weights[chosen] = signs * random.uniform(0.5, 1.0, len(chosen))
  return weights


def _loadings(random: np.random.Generator, task: str, n_factors: int) -> np.ndarray:
  appeal = -1.0 if task in NEGATIVE_TASKS else 1.0
  return appeal * random.uniform(0.6, 1.0, n_factors)


def _calibrate(slopes: np.ndarray, rates: np.ndarray) -> np.ndarray:
  low, high = np.full(len(rates), -30.0), np.full(len(rates), 30.0)
  for _ in range(_BISECTIONS):
    middle = (low + high) / 2
    too_rare = _sigmoid(slopes + middle).mean(axis=0) < rates
    low, high = np.where(too_rare, middle, low), np.where(too_rare, high, middle)
  return (low + high) / 2


def _sigmoid(values: np.ndarray) -> np.ndarray:
  return 1.0 / (1.0 + np.exp(-values))
