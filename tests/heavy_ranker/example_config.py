"""A small configuration that holds everything the model can do, as the YAML file would."""

import json

from heavy_ranker.config import HeavyRankerConfig
from tfrecords.config.strict_model import validate

# Not in alphabetical order, and one is the beginning of another.
TASKS = ("likes", "area.replies", "area.reports", "area.replies_long")
WIDTHS = {
  "continuous": 7,
  "binary": 3,
  "user_embedding": 4,
  "user_eng_embedding": 5,
  "author_embedding": 6,
}

_NORM = {"affine": False, "momentum": 0.1}
_BLOCK = {"output_size": 4, "aggregation_size": 5}
_CONTENT = {
  "training": {"save_dir": "runs/example", "seed": 3},
  "model": {
    "tasks": {
      "likes": {"mlp_config": {"layer_sizes": [5, 3, 1], "batch_norm": _NORM}, "pos_weight": 2.0},
      "area.replies": {
        "mlp_config": {"layer_sizes": [5, 3, 1], "batch_norm": _NORM},
        "affine_map": {"scale": 1.5, "bias": -0.5},
      },
      "area.reports": {
        "mlp_config": {
          "layer_sizes": [5, 3, 1],
          "batch_norm": {"affine": True, "momentum": 0.2},
          "dropout": {"rate": 0.25},
        }
      },
      "area.replies_long": {"mlp_config": {"layer_sizes": [1]}},
    },
    "backbone": {
      "mask_net_config": {
        "mask_blocks": [_BLOCK, {"output_size": 3, "reduction_factor": 0.5}],
        "use_parallel": True,
        "mlp": {"layer_sizes": [6], "final_layer_activation": True},
      }
    },
    "featurization_config": {
      "double_norm_log_config": {
        "batch_norm_config": {"affine": True, "momentum": 0.01},
        "layer_norm_config": {},
      }
    },
  },
  "train_data": {
    "inputs": "data/*.gz",
    "global_batch_size": 8,
    "seg_dense_schema": {"schema_path": "schema.json"},
    "tasks": {
      "unused": {},
      "area.replies_long": {"neg_downsampling_rate": 0.5},
      "area.reports": {"pos_downsampling_rate": 0.8, "neg_downsampling_rate": 0.01},
      "area.replies": {},
      "likes": {"pos_downsampling_rate": 0.9},
    },
  },
  "optimizer": {
    "adam": {"beta_1": 0.95, "beta_2": 0.999, "epsilon": 1e-7},
    "multi_task_learning_rates": {
      "backbone_learning_rate": {"constant": 0.01},
      "tower_learning_rates": {
        "area.replies": {"linear_ramp_to_constant": {"learning_rate": 0.02, "num_ramp_steps": 3}},
        "likes": {"constant": 0.005},
        "area.replies_long": {"constant": 0.0},
        "area.reports": {
          "piecewise_constant": {
            "learning_rate_boundaries": [2],
            "learning_rate_values": [0.001, 0.03],
          }
        },
      },
    },
  },
  "score": {
    "weights": {"likes": 0.5, "area.replies": 3.0, "area.reports": -20.0, "area.replies_long": 3.0},
    "only_largest_of": [["area.replies", "area.replies_long"]],
  },
}


def content():
  """The file's content, to change and then to `parse`."""
  return json.loads(json.dumps(_CONTENT))  # Unlike a deepcopy, shares no dict between two keys.


def parse(mapping):
  return validate(HeavyRankerConfig, mapping, "example")


def build_config(changes=()):
  """The configuration with other values: changes are (key, key, ..., value)."""
  mapping = content()
  for *keys, last, value in changes:
    node = mapping
    for key in keys:
      node = node[key]
    node[last] = value
  return parse(mapping)
