"""Time and memory of the metrics alone, on random predictions; prints one JSON object.

python -m benchmarks.metrics --examples=10000000 --tasks=10
"""

import argparse
import json
import resource
import time

import numpy as np

from heavy_ranker.config.evaluation import METRIC_NAMES, EvaluationConfig
from heavy_ranker.config.score import ScoreConfig
from heavy_ranker.evaluation.partition_meter import MeasuredBatch, PartitionMeter, Subject
from heavy_ranker.evaluation.partition_result import PartitionResult

_BATCH_SIZE = 4096
_EXAMPLES_A_USER = 20


def main() -> None:
  """Feeds random predictions to the metrics, batch by batch, and times them."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--examples", type=int, default=10_000_000)
  parser.add_argument("--tasks", type=int, default=10)
  parser.add_argument("--max_examples_in_memory", type=int, default=None)
  arguments = parser.parse_args()
  limit = arguments.max_examples_in_memory
  settings = EvaluationConfig(**({} if limit is None else {"max_examples_in_memory": limit}))
  tasks = tuple(f"task_{number}" for number in range(arguments.tasks))
  meter = PartitionMeter(
    Subject(
      tasks=tasks,
      model_tasks=tasks,
      class_weights=((100.0, 1.0),) * len(tasks),
      metrics=METRIC_NAMES,
      settings=settings,
      score=ScoreConfig(weights=dict.fromkeys(tasks, 1.0)),
    )
  )
  adding = _add_examples(meter, arguments.examples)
  started = time.perf_counter()
  result = PartitionResult(meter).as_dict(complete=True)
  computing = time.perf_counter() - started
  first = result["tasks"][tasks[0]]
  report = {
    "examples": arguments.examples,
    "tasks": arguments.tasks,
    "max_examples_in_memory": settings.max_examples_in_memory,
    "bootstrap_samples": settings.bootstrap_samples,
    "exact": result["exact"],
    "seconds_adding": round(adding, 1),
    "seconds_computing": round(computing, 1),
    "examples_per_second": round(arguments.examples / (adding + computing)),
    "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    "auroc": first["metrics"]["auroc"],
    "auroc_confidence": first["confidence"]["auroc"],
    "approximation_error": first["approximation_error"],
  }
  print(json.dumps(report))


def _add_examples(meter: PartitionMeter, examples: int) -> float:
  """Returns the seconds that adding took, without those that making examples up took."""
  generator = np.random.default_rng(0)
  num_tasks = len(meter.subject.tasks)
  # Rare and frequent engagements, from 1 in 1000 up to 1 in 2.
  levels = np.linspace(-7.0, 0.0, num_tasks, dtype=np.float32)
  seconds = 0.0
  for first in range(0, examples, _BATCH_SIZE):
    size = min(_BATCH_SIZE, examples - first)
    logits = generator.standard_normal((size, num_tasks), np.float32) + levels
    probabilities = 1 / (1 + np.exp(-logits))
    labels = generator.random((size, num_tasks), np.float32) < probabilities
    users = generator.integers(0, max(examples // _EXAMPLES_A_USER, 1), size)
    batch = MeasuredBatch(probabilities, labels, probabilities.sum(axis=1), users)
    started = time.perf_counter()
    meter.add(batch)
    seconds += time.perf_counter() - started
  return seconds


if __name__ == "__main__":
  main()
