"""A configuration that trains on the records at once: small, general, to be tuned by hand."""

import math
import re
from collections.abc import Mapping
from typing import Any

from tfrecords.config import yaml_text
from tfrecords.ingestion.counts import Counts, PartCounts, TaskCounts
from tfrecords.ingestion.feature_list import feature_list
from tfrecords.ingestion.job import Job
from tfrecords.ingestion.mapping import TRAIN

_EPOCHS = 3
_LARGEST_EVALUATION_BATCH = 4096
_LARGEST_TABLE = 1_000_000
_HEADER = """\
# Written by //tfrecords:ingest. It trains at once:
#
#   ./bazelw run //heavy_ranker:train -- --config_path=THIS_FILE
#
# The network is small and general. CONFIG_DIR is the folder of this file; see docs/configuration.md
# for every key. To change things, write a file that says `extends:` this one.
"""


def training_config(job: Job, counts: Counts) -> str:
  """Returns the text of config.yaml: data, sampling rates and a small MaskNet for all tasks."""
  content = {
    "training": _training(job, counts),
    "model": _model(job, counts),
    "score": {"weights": {task: of.score_weight for task, of in job.mapping.labels.items()}},
    "train_data": _data(job, TRAIN, counts.parts[TRAIN], job.mapping.output.batch_size),
  }
  measured = {
    name: _data(job, name, part, _LARGEST_EVALUATION_BATCH)
    for name, part in counts.parts.items()
    if name != TRAIN and part.tasks
  }
  if measured:
    content["validation_data"] = measured
  content["optimizer"] = _optimizer(_n_steps(job, counts))
  return _HEADER + yaml_text.text_of(content)


def _n_steps(job: Job, counts: Counts) -> int:
  if job.mapping.output.num_train_steps is not None:
    return job.mapping.output.num_train_steps
  n_records = counts.parts[TRAIN].n_records
  return max(1, _EPOCHS * n_records // min(job.mapping.output.batch_size, n_records))


def _training(job: Job, counts: Counts) -> dict[str, Any]:
  name = job.output.rstrip("/").rpartition("/")[2]
  n_steps = _n_steps(job, counts)
  return {
    "save_dir": job.mapping.output.save_dir or f"${{CONFIG_DIR}}/../{name}_run",
    "num_train_steps": n_steps,
    "checkpoint_every_n": max(1, n_steps // 3),
    "train_log_every_n": max(1, n_steps // 20),
    "num_eval_steps": -1,
    "eval_log_every_n": 1000,
  }


def _model(job: Job, counts: Counts) -> dict[str, Any]:
  block = {"aggregation_size": 64, "output_size": 64}
  train = counts.parts[TRAIN].tasks
  has_binary = "binary" in job.layout.dense
  model: dict[str, Any] = {
    "featurization_config": {
      "double_norm_log_config": {
        "batch_norm_config": {"momentum": 0.01},
        "clip_magnitude": 5.0,
        "layer_norm_config": {},
      },
      "feature_names_to_concat": ["binary"] if has_binary else [],
    },
    "multi_task_type": "share_all",
    "backbone": {
      "mask_net_config": {
        "use_parallel": True,
        "mask_blocks": [block, block],
        "mlp": {"layer_sizes": [64], "final_layer_activation": True},
      }
    },
    "tasks": {task: _tower(train[task]) for task in job.layout.labels},
  }
  tables = _tables(job, counts)
  if tables:
    model["small_embeddings"] = {"tables": tables}
  return model


def _tower(labels: TaskCounts) -> dict[str, Any]:
  """Returns a tower that begins at the task's rate, which a rare task need not learn first."""
  logit = math.log((labels.positives + 1) / (labels.negatives + 1))
  return {
    "mlp_config": {"layer_sizes": [32, 16, 1], "batch_norm": {"momentum": 0.1}},
    "affine_map": {"scale": 1.0, "bias": round(logit, 3)},
  }


def _tables(job: Job, counts: Counts) -> list[dict[str, Any]]:
  """Returns a table of embeddings for each column of `discrete` that is no raw number."""
  tables: list[dict[str, Any]] = []
  for column in feature_list(job, counts)["features"].get("discrete", ()):
    made_by, largest = column["made_by"], column["maximum"]
    if "hash" in made_by:
      largest = made_by["hash"]["buckets"]
    if column["minimum"] is None or column["minimum"] < 0 or largest >= _LARGEST_TABLE:
      continue
    n_rows = int(largest) + 1
    name = re.sub(r"[^A-Za-z0-9_]", "_", column["name"])
    tables.append(
      {
        "name": f"{name}_{column['index']}" if any(of["name"] == name for of in tables) else name,
        "num_embeddings": n_rows,
        "embedding_dim": min(16, max(2, round(2 * n_rows**0.25))),
        "index": column["index"],
      }
    )
  return tables


def _data(job: Job, name: str, part: PartCounts, batch_size: int) -> dict[str, Any]:
  ending = "tfrecord.gz" if job.mapping.output.compression == "gzip" else "tfrecord"
  return {
    "inputs": f"${{CONFIG_DIR}}/{name}/*.{ending}",
    "global_batch_size": min(batch_size, part.n_records),
    "seg_dense_schema": {"schema_path": "${CONFIG_DIR}/schema.json"},
    "tasks": {task: dict(of.rates) for task, of in part.tasks.items()},
  }


def _optimizer(n_steps: int) -> Mapping[str, Any]:
  n_ramp = max(1, n_steps // 20)
  return {
    "adam": {"beta_1": 0.95},
    "single_task_learning_rate": {
      "linear_ramp_to_cosine": {
        "learning_rate": 0.005,
        "final_learning_rate": 0.0001,
        "num_ramp_steps": n_ramp,
        "final_num_steps": max(n_steps, n_ramp + 1),
      }
    },
  }
