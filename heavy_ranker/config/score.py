"""The `score` section: how ten probabilities become one number."""

from collections.abc import Mapping
from typing import Optional

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent

# The weights of the "For You" timeline's heavy ranker, as published in April 2023.
DEFAULT_WEIGHTS = {
  "recap.engagement.is_favorited": 0.5,
  "recap.engagement.is_good_clicked_convo_desc_favorited_or_replied": 11.0,
  "recap.engagement.is_good_clicked_convo_desc_v2": 11.0,
  "recap.engagement.is_negative_feedback_v2": -74.0,
  "recap.engagement.is_profile_clicked_and_profile_engaged": 12.0,
  "recap.engagement.is_replied": 27.0,
  "recap.engagement.is_replied_reply_engaged_by_author": 75.0,
  "recap.engagement.is_report_tweet_clicked": -369.0,
  "recap.engagement.is_retweeted": 1.0,
  "recap.engagement.is_video_playback_50": 0.005,
}
DEFAULT_ONLY_LARGEST_OF = (
  (
    "recap.engagement.is_good_clicked_convo_desc_favorited_or_replied",
    "recap.engagement.is_good_clicked_convo_desc_v2",
  ),
)


class ScoreConfig(StrictModel):
  """The weighted sum of the calibrated probabilities.

  Attributes:
    weights: task -> weight. The ten published tasks have defaults; any other task of the model
      needs a weight here (0 leaves it out of the score).
    only_largest_of: groups of tasks that share one weight and of which only the largest
      probability counts.
    negative_squash_epsilon: squeezes negative sums into a band of this width just above 0;
      absent leaves the sum as it is.
  """

  weights: dict[str, pydantic.FiniteFloat] = pydantic.Field(default_factory=dict)
  only_largest_of: list[list[str]] = pydantic.Field(
    default_factory=lambda: [list(group) for group in DEFAULT_ONLY_LARGEST_OF]
  )
  negative_squash_epsilon: Optional[pydantic.PositiveFloat] = None

  @pydantic.model_validator(mode="after")
  def _check_groups(self) -> "ScoreConfig":
    grouped = [task for group in self.only_largest_of for task in group]
    twice = sorted({task for task in grouped if grouped.count(task) > 1})
    if twice:
      raise inconsistent(f"only_largest_of: {twice[0]!r} stands in it twice, allowed: once")
    return self

  def weight_of(self, task: str) -> Optional[float]:
    """Returns a task's weight: the given one, else the published one, else None."""
    return self.weights.get(task, DEFAULT_WEIGHTS.get(task))

  def with_weights(self, weights: Mapping[str, float]) -> "ScoreConfig":
    """Returns the section with other weights for some tasks, not checked anew."""
    return self.model_copy(update={"weights": {**self.weights, **weights}})
