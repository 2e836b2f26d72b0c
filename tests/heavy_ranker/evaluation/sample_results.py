"""Evaluations as a run of ten tasks on two partitions leaves them, made up from a seed.

Labels are drawn with known chances, and predictions are those chances with noise, less of it at
later steps, so that every number and curve is one that real data could give.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import (
  average_precision_score,
  log_loss,
  precision_recall_curve,
  roc_auc_score,
  roc_curve,
)

# The tasks' weights in the score, and rates of positives at which 20,000 examples show something.
TASKS = {
  "recap.engagement.is_favorited": (0.5, 0.06),
  "recap.engagement.is_good_clicked_convo_desc_favorited_or_replied": (11.0, 0.008),
  "recap.engagement.is_good_clicked_convo_desc_v2": (11.0, 0.015),
  "recap.engagement.is_negative_feedback_v2": (-74.0, 0.003),
  "recap.engagement.is_profile_clicked_and_profile_engaged": (12.0, 0.004),
  "recap.engagement.is_replied": (27.0, 0.01),
  "recap.engagement.is_replied_reply_engaged_by_author": (75.0, 0.0015),
  "recap.engagement.is_report_tweet_clicked": (-369.0, 0.00002),
  "recap.engagement.is_retweeted": (1.0, 0.012),
  "recap.engagement.is_video_playback_50": (0.005, 0.2),
}
PARTITIONS = ("validation", "popular_authors")
STEPS = (400, 800, 1200)
_EXAMPLES = 20_000
_POINTS = 400
_RARE = "recap.engagement.is_report_tweet_clicked"
_NO_POSITIVE = "no example has label 1"


def write_samples(
  save_dir: Path, steps: tuple[int, ...] = STEPS, num_tasks: int = len(TASKS), seed: int = 20230301
) -> None:
  """Writes `step-N.json` and `importance-N.json` for each step, with the first tasks."""
  folder = save_dir / "evaluation"
  folder.mkdir(parents=True, exist_ok=True)
  for position, step in enumerate(steps):
    result = sample(step, 1.6 / (1 + position), num_tasks, seed)
    (folder / f"step-{step}.json").write_text(json.dumps(result, allow_nan=False))
    importance = _importance(np.random.default_rng(seed))
    (folder / f"importance-{step}.json").write_text(json.dumps(importance, allow_nan=False))


def sample(
  step: int = 1200, noise: float = 0.6, num_tasks: int = len(TASKS), seed: int = 20230301
) -> dict:
  """Returns one evaluation; `noise` is the standard deviation of what the model gets wrong."""
  weights = {task: weight for task, (weight, _) in list(TASKS.items())[:num_tasks]}
  return {
    "format_version": 1,
    "step": step,
    "checkpoint": f"/runs/heavy_ranker/checkpoints/step-{step}",
    "seconds": 12.34,
    "tasks": list(weights),
    "score": {
      "weights": weights,
      "only_largest_of": [list(weights)[1:3]],
      "negative_squash_epsilon": None,
    },
    "partitions": {
      name: _partition(
        np.random.default_rng([seed, position]), list(weights), noise, is_main=position == 0
      )
      | {"what_if": _what_if(weights, is_main=position == 0)}
      for position, name in enumerate(PARTITIONS)
    },
  }


def _partition(
  generator: np.random.Generator, names: list[str], noise: float, is_main: bool
) -> dict:
  tasks, score = {}, np.zeros(_EXAMPLES)
  contributions = []
  for task in names:
    weight, rate = TASKS[task]
    logits = generator.standard_normal(_EXAMPLES) * 1.3 + np.log(rate / (1 - rate)) - 0.6
    labels = generator.random(_EXAMPLES) < _sigmoid(logits)
    raw = _sigmoid(logits + 1.4 + noise * generator.standard_normal(_EXAMPLES))
    probabilities = _sigmoid(_logit(raw) - 1.4 - noise**2 / 2)
    tasks[task] = _task(generator, logits, labels, probabilities, raw)
    contributions.append(weight * probabilities)
    score += contributions[-1]
  means = np.abs([contribution.mean() for contribution in contributions])
  spread = np.array([np.cov(contribution, score)[0, 1] for contribution in contributions])
  for result, mean, variance in zip(tasks.values(), means / means.sum(), spread / spread.sum()):
    result["score_share"] = {"mean": mean, "variance": variance}
  counts, edges = np.histogram(score, 80)
  quality = 0.5 - 0.1 * noise + (0.02 if is_main else 0)
  ranking = {"ndcg@10": quality, "ndcg@20": quality + 0.05, "map@10": quality - 0.12}
  return {
    "examples": _EXAMPLES,
    "users": 1000 if is_main else None,
    "batches": 5,
    "complete": is_main,
    "exact": is_main,
    "notes": [] if is_main else ["AUROC comes from 10,000 bins: the examples exceed the memory."],
    "ranking": ranking,
    "ranking_confidence": {name: [v - 0.008, v + 0.008] for name, v in ranking.items()},
    "score_histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    "tasks": tasks,
    "strata": _strata(generator, tasks) if is_main else {},
  }


def _task(generator, logits, labels, probabilities, raw) -> dict:
  metrics = _metrics(labels, probabilities)
  defined = {name: value for name, value in metrics.items() if value is not None}
  error = 0.4 / np.sqrt(max(labels.sum(), 1))
  bins = np.unique(np.quantile(probabilities, np.linspace(0, 1, 16)))
  edges = np.linspace(-14, 6, 61)
  positives, _ = np.histogram(_logit(probabilities[labels]), edges)
  negatives, _ = np.histogram(_logit(probabilities[~labels]), edges)
  both = "auroc" in defined
  confidence = {}
  if both:
    confidence = {
      "auroc": [metrics["auroc"] - error, min(1.0, metrics["auroc"] + error)],
      "relative_cross_entropy": [
        metrics["relative_cross_entropy"] - 60 * error,
        metrics["relative_cross_entropy"] + 60 * error,
      ],
    }
  result = {
    "metrics": metrics,
    "reasons": {name: _NO_POSITIVE for name, value in metrics.items() if value is None},
    "confidence": confidence,
    "approximation_error": {},
    "baselines": {
      "always_mean": _metrics(labels, np.full(len(labels), max(labels.mean(), 1e-7))),
      "logistic_regression": _metrics(
        labels, _sigmoid(logits + generator.standard_normal(len(logits)))
      ),
      "teacher": _metrics(labels, _sigmoid(logits)),
    },
    "achievable_rce_share": None,
    "reliability": {
      "calibrated": _reliability(labels, probabilities, bins),
      "uncalibrated": _reliability(labels, raw, np.unique(np.quantile(raw, np.linspace(0, 1, 16)))),
    },
    "probability_histogram": {
      "edges": _sigmoid(edges).tolist(),
      "positives": positives.tolist(),
      "negatives": negatives.tolist(),
    },
  }
  if both:
    teacher = result["baselines"]["teacher"]["relative_cross_entropy"]
    result["achievable_rce_share"] = metrics["relative_cross_entropy"] / teacher
    false_positive_rate, true_positive_rate, _ = roc_curve(labels, probabilities)
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    result["roc"] = {
      "false_positive_rate": _thinned(false_positive_rate),
      "true_positive_rate": _thinned(true_positive_rate),
    }
    result["precision_recall"] = {"recall": _thinned(recall), "precision": _thinned(precision)}
  return result


def _metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict:
  rate, predicted = labels.mean(), probabilities.mean()
  values = {
    "examples": len(labels),
    "positives": int(labels.sum()),
    "click_through_rate": float(rate),
    "predicted_click_through_rate": float(predicted),
    "expected_calibration_error": float(abs(rate - predicted)),
    **dict.fromkeys(
      [
        "relative_cross_entropy",
        "normalized_relative_cross_entropy",
        "auroc",
        "grouped_auc",
        "average_precision",
        "predicted_to_actual_ratio",
      ]
    ),
    "log_loss": float(log_loss(labels, probabilities, labels=[False, True])),
  }
  if 0 < rate < 1:
    base = log_loss(labels, np.full(len(labels), rate))
    scaled = np.clip(probabilities * rate / predicted, 1e-7, 1 - 1e-7)
    auroc = float(roc_auc_score(labels, probabilities))
    values["relative_cross_entropy"] = 100 * (1 - values["log_loss"] / base)
    values["normalized_relative_cross_entropy"] = 100 * (1 - log_loss(labels, scaled) / base)
    values["auroc"], values["grouped_auc"] = auroc, auroc - 0.02
    values["average_precision"] = float(average_precision_score(labels, probabilities))
    values["predicted_to_actual_ratio"] = float(predicted / rate)
  return values


def _reliability(labels: np.ndarray, probabilities: np.ndarray, edges: np.ndarray) -> list[dict]:
  places = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
  members = [places == place for place in range(len(edges) - 1)]
  return [
    {
      "predicted": float(probabilities[member].mean()),
      "observed": float(labels[member].mean()),
      "weight": float(member.sum()),
      "examples": int(member.sum()),
    }
    for member in members
    if member.any()
  ]


def _strata(generator: np.random.Generator, tasks: dict) -> dict:
  def shifted(result: dict, shift: float) -> dict:
    names = ("relative_cross_entropy", "auroc", "predicted_to_actual_ratio")
    kept = {name: result["metrics"][name] for name in names}
    shifts = dict(zip(names, (40 * shift, shift, 2 * shift)))
    metrics = {name: None if v is None else v + shifts[name] for name, v in kept.items()}
    return {
      "metrics": metrics,
      "reasons": {name: _NO_POSITIVE for name, value in metrics.items() if value is None},
    }

  return {
    f"discrete_17={value}": {
      "examples": int(_EXAMPLES * share),
      "tasks": {
        task: shifted(result, float(generator.normal() * 0.02)) for task, result in tasks.items()
      },
    }
    for value, share in ((0, 0.62), (1, 0.3), (2, 0.08))
  }


def _importance(generator: np.random.Generator) -> dict:
  def entry(name: str, scale: float, count: int) -> dict:
    drop = {task: float(scale * generator.gamma(1.5) - 0.002) for task in TASKS if task != _RARE}
    drop[_RARE] = None
    return {
      "name": name,
      "features": [f"{name}_{position}" for position in range(count)],
      "drop": drop,
      "drop_low": {task: value and value - 0.002 for task, value in drop.items()},
      "drop_high": {task: value and value + 0.002 for task, value in drop.items()},
    }

  groups = ("user_embedding", "author_embedding", "continuous: user_aggregate", "binary")
  return {
    "format_version": 1,
    "partition": PARTITIONS[0],
    "metric": "auroc",
    "examples": 8192,
    "repeats": 5,
    "baseline": {**dict.fromkeys(TASKS, 0.75), _RARE: None},
    "reasons": {_RARE: _NO_POSITIVE},
    "notes": ["3 of the 9 columns of binary are in no group"],
    "groups": [entry(name, 0.03 / (1 + i), 3 * i + 1) for i, name in enumerate(groups)],
    "features": [entry(f"continuous[{i}]", 0.01 / (1 + i), 1) for i in range(60)],
  }


def _what_if(weights: dict, is_main: bool) -> dict:
  scenarios = {
    "as it is": {},
    "replies count half": {"recap.engagement.is_replied": 13.5},
    "no negative feedback": {
      "recap.engagement.is_negative_feedback_v2": 0.0,
      "recap.engagement.is_report_tweet_clicked": 0.0,
    },
  }
  listed = [
    {"name": name, "weights": {**weights, **changes}} for name, changes in scenarios.items()
  ]
  if not is_main:
    return {"reason": "it has no users", "cutoff": 10, "scenarios": listed}
  for position, scenario in enumerate(listed):
    change = -0.004 * position
    scenario["metrics"] = {
      "ndcg@10": 0.46 + change,
      "ndcg_change@10": change,
      "kendall_tau": 1 - 0.06 * position,
      "top_1_changed": 0.05 * position,
      "overlap@10": 1 - 0.08 * position,
    }
    scenario["confidence"] = {"ndcg_change@10": [change - 0.001, change + 0.001]}
    scenario["top_tasks"] = {
      task: {
        "predicted_before": rate,
        "predicted": rate * (1 + 0.2 * position * (-1) ** place),
        "observed_before": rate,
        "observed": rate * (1 + 0.1 * position * (-1) ** place),
      }
      for place, (task, (_, rate)) in enumerate(TASKS.items())
      if task in weights
    }
  return {"reason": None, "cutoff": 10, "present": {"ndcg@10": 0.46}, "scenarios": listed}


def _thinned(values: np.ndarray) -> list[float]:
  places = np.unique(np.linspace(0, len(values) - 1, min(_POINTS, len(values))).astype(int))
  return values[places].tolist()


def _sigmoid(logits: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-logits))


def _logit(probabilities: np.ndarray) -> np.ndarray:
  return np.log(probabilities / (1 - probabilities))
