"""Tests of `load_config`: every key, every complaint, overrides, environment, anchors."""

import copy
import re
import textwrap

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heavy_ranker import HeavyRankerConfig, load_config
from tests.heavy_ranker import example_config
from tests.heavy_ranker.golden_numbers import FOLDER as GOLDEN
from tfrecords.config import yaml_file
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError

LIKES, REPLIES = "likes", "area.replies"
MLP = {
  "layer_sizes": [4, 1],
  "batch_norm": {"affine": True, "momentum": 0.1},
  "dropout": {"rate": 0.1},
}
CROSS_NET = {"poly_degree": 1, "output_mlp": MLP}
FULL_MLP = {**MLP, "final_layer_activation": True}
RATE = {"constant": 0.1}


def merged(content, changes):
  """Content with what the changes say, down to the last mapping that both hold."""
  if not isinstance(content, dict) or not isinstance(changes, dict):
    return copy.deepcopy(changes)
  result = dict(content)
  for key, value in changes.items():
    result[key] = merged(content.get(key), value)
  return result


def parse(changes):
  return example_config.parse(merged(example_config.content(), changes))


def complaint(changes):
  """The message about one mistake, without its first line."""
  with pytest.raises(ConfigError) as error:
    parse(changes)
  lines = str(error.value).splitlines()
  assert lines[0] == "example: the configuration cannot be used:"
  assert len(lines) == 2, error.value
  return lines[1].strip()


@pytest.fixture(name="file")
def file_fixture(tmp_path):
  """Writes a configuration file: called with its text or content, returns its path."""

  def write(content):
    path = tmp_path / "config.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    path.write_text(text)
    return path

  return write


DATA = {
  "global_batch_size": 8,
  "num_files_to_keep": 2,
  "repeat_files": False,
  "file_batch_size": 3,
  "cache": True,
  "data_service_dispatcher": "grpc://host:5050",
  "ignore_data_errors": True,
  "dataset_service_compression": "AUTO",
  "examples_shuffle_buffer_size": 16,
  "map_num_parallel_calls": 2,
  "interleave_num_parallel_calls": 2,
  "seg_dense_schema": {
    "schema_path": "schema.json",
    "features": ["a"],
    "renamed_features": {"continuous": "a"},
    "mask_mantissa_features": {"a": 3},
  },
  "tasks": {
    task: {"pos_downsampling_rate": 0.5, "neg_downsampling_rate": 0.1}
    for task in example_config.TASKS
  },
  "evaluation_tasks": ["likes"],
  "preprocess": {
    "truncate_and_slice": {
      "continuous_feature_truncation": 3,
      "binary_feature_truncation": 2,
      "continuous_feature_mask_path": "a.npy",
      "binary_feature_mask_path": "b.npy",
    },
    "downcast": {"features": {"continuous": "bfloat16", "binary": "uint8"}},
    "rectify_labels": {
      "label_rectification_window_in_hours": 3.0,
      "served_timestamp_field": "s",
      "impressed_timestamp_field": "i",
      "label_to_engaged_timestamp_field": {"likes": "e"},
    },
    "extract_features": {
      "extract_feature_table": [{"name": "n", "source_tensor": "discrete", "index": 1}]
    },
    "downsample_negatives": {
      "batch_multiplier": 2,
      "engagements_list": ["likes"],
      "num_engagements": 1,
    },
  },
  "sampler": {
    "name": "negatives",
    "kwargs": {"rate": 0.5, "seed": 1, "engagements_list": ["likes"]},
  },
}
# Every key of the reference's files, once.
EVERY_KEY = [
  {
    "training": {
      "save_dir": "runs",
      "num_train_steps": 10,
      "initial_checkpoint_dir": "old",
      "checkpoint_every_n": 5,
      "checkpoint_max_to_keep": 3,
      "train_log_every_n": 1,
      "num_eval_steps": -1,
      "eval_log_every_n": 7,
      "eval_timeout_in_s": 7200,
      "gradient_accumulation": 2,
    }
  },
  {"model": {"tasks": {LIKES: {"mlp_config": MLP, "affine_map": {"scale": 2, "bias": 1}}}}},
  {
    "model": {
      "tasks": {
        LIKES: {
          "mlp_config": None,
          "dcn_config": {
            "poly_degree": 2,
            "projection_dim": 3,
            "parallel_mlp": FULL_MLP,
            "use_parallel": True,
            "output_mlp": FULL_MLP,
          },
          "pos_weight": 2.0,
        },
      }
    }
  },
  {
    "model": {
      "multi_task_type": "share_none",
      "backbone": None,
      "tasks": {
        REPLIES: {"mlp_config": None, "dlrm_config": {"bottom_mlp": MLP, "top_mlp": FULL_MLP}},
      },
    }
  },
  {
    "model": {
      "backbone": {
        "mask_net_config": {
          "mask_blocks": [
            {"output_size": 3, "reduction_factor": 0.5, "input_layer_norm": True},
            {"output_size": 3, "aggregation_size": 2},
          ],
          "mlp": FULL_MLP,
          "use_parallel": False,
        },
        "affine_map": None,
        "pos_weight": 1.0,
      },
      "multi_task_type": "share_partial",
      "stratifiers": [{"name": "s", "index": 3, "value": 1}],
      "large_embeddings": {
        "tables": [
          {
            "name": "meta__author_id",
            "num_embeddings": 10,
            "embedding_dim": 4,
            "vocab": "path",
            "pretrained": {"emb_name": "e", "embedding_snapshot_uri": "uri"},
          }
        ],
        "optimizer": {"learning_rate": RATE, "init_learning_rate": 0.2, "algorithm": "adagrad"},
        "tables_to_log": ["meta__author_id"],
      },
      "small_embeddings": {
        "tables": [{"name": "t", "num_embeddings": 3, "embedding_dim": 2, "index": 0}]
      },
      "position_debias_config": {
        "max_position": 256,
        "num_dims": 64,
        "drop_probability": 0.5,
        "position_feature_index": 51,
      },
    }
  },
  {
    "model": {
      "featurization_config": {
        "double_norm_log_config": {
          "batch_norm_config": {"affine": True, "momentum": 0.01},
          "clip_magnitude": 5.0,
          "layer_norm_config": {"axis": -1, "center": True, "epsilon": 0.0, "scale": True},
        },
        "feature_names_to_concat": ["binary"],
      }
    }
  },
  *(
    {"model": {"featurization_config": {"double_norm_log_config": None, name: options}}}
    for name, options in (
      ("log1p_abs_config", {}),
      ("clip_log1p_abs_config", {"clip_magnitude": 10.0}),
      (
        "z_score_log_config",
        {
          "analysis_path": "a",
          "schema_path": "s",
          "clip_magnitude": 3.0,
          "use_batch_norm": True,
          "use_renorm": True,
          "use_bq_stats": True,
        },
      ),
    )
  ),
  {"train_data": {**DATA, "inputs": "*.gz"}, "validation_data": {"a": {**DATA, "inputs": "*.gz"}}},
  {
    "train_data": {
      "inputs": None,
      "explicit_datetime_inputs": {
        "data_root": "root",
        "end_datetime": "2023/02/03/04",
        "hours": 3,
        "num_missing_hours_tol": 1,
      },
    }
  },
  {
    "train_data": {
      "inputs": None,
      "explicit_date_inputs": {
        "data_root": "root",
        "end_date": "2023/02/03",
        "days": 3,
        "num_missing_days_tol": 1,
      },
    }
  },
  {
    "optimizer": {
      "adam": {"beta_1": 0.95, "beta_2": 0.999, "epsilon": 1e-7},
      "multi_task_learning_rates": None,
      "single_task_learning_rate": {
        "linear_ramp_to_cosine": {
          "learning_rate": 0.1,
          "final_learning_rate": 0.01,
          "num_ramp_steps": 2,
          "final_num_steps": 9,
        }
      },
    },
    "which_metrics": ["auroc"],
  },
  {
    "optimizer": {
      "multi_task_learning_rates": {
        "backbone_learning_rate": {
          "constant": None,
          "linear_ramp_to_constant": {"learning_rate": 0.1, "num_ramp_steps": 2},
        },
        "tower_learning_rates": {
          LIKES: {
            "constant": None,
            "piecewise_constant": {
              "learning_rate_boundaries": [1, 2],
              "learning_rate_values": [0.1, 0.2, 0.3],
            },
          }
        },
      }
    }
  },
]


def dump(section):
  return section.model_dump() if hasattr(section, "model_dump") else section


def assert_holds(found, given):
  """What was given stands in the configuration, with nulls as absent."""
  if isinstance(given, dict):
    for key, value in given.items():
      if value is not None:
        assert_holds(found[key], value)
  elif isinstance(given, list):
    assert len(found) == len(given)
    for one, other in zip(found, given):
      assert_holds(one, other)
  else:
    assert found == given
    assert type(found) is type(given) or isinstance(found, float)


@pytest.mark.parametrize("changes", EVERY_KEY, ids=lambda changes: ".".join(changes))
def test_every_key_of_the_reference_is_read(changes):
  assert_holds(dump(parse(changes)), changes)


@pytest.mark.parametrize("name", ["a_full", "c_optimizer"])
def test_files_of_the_reference_load_unchanged(name, monkeypatch):
  monkeypatch.delenv("TML_BASE", raising=False)  # Then ${TML_BASE} stays as it stands.
  path = GOLDEN / f"{name}.yaml"
  config = load_config(path)
  assert isinstance(config, HeavyRankerConfig)
  content = yaml.safe_load(path.read_text())
  del content["training"]["save_dir"], content["train_data"]["inputs"]
  for partition in content.get("validation_data", {}).values():
    del partition["inputs"]
  assert_holds(dump(config), content)


def test_a_configuration_is_frozen():
  config = example_config.build_config()
  with pytest.raises(Exception, match="frozen"):
    config.training.seed = 5


@pytest.mark.parametrize(
  "given, expected",
  [
    ({"learning_rate": 0.1, "init_learning_rate": 0.2}, RATE),
    ({"learning_rate": RATE}, RATE),
    ({"init_learning_rate": 0.1}, RATE),
    ({"learning_rate": None, "init_learning_rate": 0.1}, RATE),
  ],
)
def test_the_learning_rate_of_large_tables(given, expected):
  section = parse({"model": {"large_embeddings": {"tables": [], "optimizer": given}}}).model
  assert section.large_embeddings.optimizer.schedule.model_dump(exclude_none=True) == expected


# (changes, the full path of the key, what else the message says)
UNKNOWN = [
  ({"trainig": {}}, "trainig", ["did you mean 'training'?", "optimizer"]),
  ({"training": {"num_train_step": 3}}, "training.num_train_step", ["'num_train_steps'"]),
  (
    {"model": {"tasks": {REPLIES: {"mlp_config": {"layer_size": [1]}}}}},
    "model.tasks.area.replies.mlp_config.layer_size",
    ["did you mean 'layer_sizes'?", "final_layer_activation"],
  ),
  (
    {"model": {"backbone": {"mask_net_config": {"mask_blocks": [{"output_sizes": 3}]}}}},
    "model.backbone.mask_net_config.mask_blocks.0.output_sizes",
    ["did you mean 'output_size'?"],
  ),
  ({"train_data": {"zzz": 1}}, "train_data.zzz", ["unknown key; allowed here: ", "inputs"]),
  ({"score": {1: 2}}, "score.1", ["unknown key", "only_largest_of"]),
]


@pytest.mark.parametrize(
  "changes, path, parts", UNKNOWN, ids=lambda x: x if isinstance(x, str) else ""
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(changes, path, parts):
  message = complaint(changes)
  assert message.startswith(f"{path}: unknown key")
  for part in [*parts, "allowed here: "]:
    assert part in message


LARGE = "model.large_embeddings"
_LARGE_TABLE = {"name": "a", "num_embeddings": 3, "embedding_dim": 2}


def large(**changes):
  """Changes that ask for a large table, with changes of their own."""
  section = {"tables": [_LARGE_TABLE], "optimizer": {"learning_rate": 1}}
  return {"model": {"large_embeddings": {**section, **changes}}}


WRONG = [
  (
    large(optimizer={"learning_rate": True}),
    f"{LARGE}.optimizer.learning_rate",
    "True (bool)",
    "constant",
  ),
  (
    large(optimizer={"learning_rate": "x"}),
    f"{LARGE}.optimizer.learning_rate",
    "'x' (str)",
    "a map",
  ),
  (
    large(optimizer={"learning_rate": -0.5}),
    f"{LARGE}.optimizer.learning_rate.constant",
    "-0.5 (float)",
    "greater than or equal to 0",
  ),
  (
    large(optimizer={"learning_rate": 1, "algorithm": "adam"}),
    f"{LARGE}.optimizer.algorithm",
    "'adam' (str)",
    "'sgd' or 'adagrad'",
  ),
  (
    large(tables=[{"name": "a/b", "num_embeddings": 1, "embedding_dim": 1}]),
    f"{LARGE}.tables.0.name",
    "'a/b' (str)",
    "pattern",
  ),
  (
    {"training": {"num_train_steps": "many"}},
    "training.num_train_steps",
    "'many' (str)",
    "integer",
  ),
  (
    {"training": {"num_train_steps": -1}},
    "training.num_train_steps",
    "-1 (int)",
    "greater than or equal to 0",
  ),
  ({"training": {"num_train_steps": 1.5}}, "training.num_train_steps", "1.5 (float)", "integer"),
  ({"training": {"save_dir": 5}}, "training.save_dir", "5 (int)", "string"),
  ({"training": {"save_dir": ["a"]}}, "training.save_dir", "['a'] (list)", "string"),
  (
    {"training": {"synchronize_batch_norm": 3}},
    "training.synchronize_batch_norm",
    "3 (int)",
    "boolean",
  ),
  ({"training": {"num_train_steps": True}}, "training.num_train_steps", "True (bool)", "a number"),
  ({"training": {"seed": 2**63}}, "training.seed", "9223372036854775808 (int)", "at most 64 bits"),
  (
    {"model": {"tasks": {LIKES: {"mlp_config": {"layer_sizes": [True, 1]}}}}},
    "model.tasks.likes.mlp_config.layer_sizes.0",
    "a boolean",
    "a number",
  ),
  ({"score": {"weights": {LIKES: True}}}, "score.weights.likes", "a boolean", "a number"),
  ({"training": [1]}, "training", "[1] (list)", "a mapping with keys out of save_dir"),
  ({"model": {"tasks": ["likes"]}}, "model.tasks", "['likes'] (list)", "dictionary"),
  (
    {"model": {"multi_task_type": "share"}},
    "model.multi_task_type",
    "'share' (str)",
    "'share_none'",
  ),
  (
    {"model": {"tasks": {LIKES: {"mlp_config": {"layer_sizes": [2, 0, 1]}}}}},
    "model.tasks.likes.mlp_config.layer_sizes.1",
    "0 (int)",
    "greater than 0",
  ),
  (
    {"model": {"tasks": {LIKES: {"mlp_config": {"dropout": {"rate": 1.0}}}}}},
    "model.tasks.likes.mlp_config.dropout.rate",
    "1.0 (float)",
    "less than 1",
  ),
  (
    {"train_data": {"tasks": {REPLIES: {"neg_downsampling_rate": 0}}}},
    "train_data.tasks.area.replies.neg_downsampling_rate",
    "0 (int)",
    "greater than 0",
  ),
  (
    {"train_data": {"sampling_correction": "both"}},
    "train_data.sampling_correction",
    "'both' (str)",
    "'weights' or 'calibration'",
  ),
  ({"optimizer": {"adam": {"beta_1": 1}}}, "optimizer.adam.beta_1", "1 (int)", "less than 1"),
  (
    {"optimizer": {"adam": {"epsilon": float("nan")}}},
    "optimizer.adam.epsilon",
    "nan (float)",
    "finite",
  ),
  ({"score": {"weights": {LIKES: float("inf")}}}, "score.weights.likes", "inf (float)", "finite"),
]


@pytest.mark.parametrize(
  "changes, path, found, allowed", WRONG, ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, path, found, allowed):
  message = complaint(changes)
  assert message.startswith(f"{path}: found {found}, allowed: ")
  assert allowed in message


@pytest.mark.parametrize(
  "changes, path",
  [
    ({"training": {"save_dir": None}}, "training.save_dir"),
    ({"train_data": {"global_batch_size": None}}, "train_data.global_batch_size"),
    ({"optimizer": None}, "optimizer"),
    ({"model": {"featurization_config": None}}, "model.featurization_config"),
  ],
)
def test_a_missing_key_is_named(changes, path):
  assert complaint(changes) == f"{path}: found nothing, allowed: a value has to be given"


def test_every_unknown_key_of_a_section_is_named():
  with pytest.raises(ConfigError) as error:
    parse({"training": {"num_train_step": 3, "sede": 1, "seed": 2}})
  lines = [line.strip() for line in str(error.value).splitlines()[1:]]
  assert [line.split("; allowed here: ")[0] for line in lines] == [
    "training.num_train_step: unknown key, did you mean 'num_train_steps'?",
    "training.sede: unknown key, did you mean 'seed'?",
  ]


def test_numbers_may_be_written_as_text():
  config = parse({"optimizer": {"adam": {"epsilon": "1e-3"}}, "training": {"seed": "5"}})
  assert (config.optimizer.adam.epsilon, config.training.seed) == (1e-3, 5)


@pytest.mark.parametrize("name", ["backbone", "loss", "probabilities", "score"])
def test_a_task_cannot_bear_a_name_that_is_taken(name):
  mapping = example_config.content()
  sections = (
    mapping["model"]["tasks"],
    mapping["train_data"]["tasks"],
    mapping["score"]["weights"],
  )
  towers = mapping["optimizer"]["multi_task_learning_rates"]["tower_learning_rates"]
  for section in (*sections, towers):
    section[name] = section.pop(LIKES)
  with pytest.raises(ConfigError, match=rf"model\.tasks\.{name}: the name is taken"):
    example_config.parse(mapping)


def test_several_mistakes_are_named_together():
  changes = {
    "training": {"seed": -1, "checkpoint_every_n": 0},
    "optimizer": {"adam": {"beta_9": 1}},
    "train_data": {"inputs": None},
  }
  with pytest.raises(ConfigError) as error:
    parse(changes)
  for path in (
    "training.seed",
    "training.checkpoint_every_n",
    "optimizer.adam.beta_9",
    "train_data",
  ):
    assert re.search(rf"^\s+{re.escape(path)}: ", str(error.value), re.MULTILINE), path


def test_a_long_value_is_shortened():
  assert "..." in complaint({"training": {"seed": "x" * 1000}})
  assert len(complaint({"training": {"seed": "x" * 1000}})) < 200


TASK = "model.tasks.likes"
GROUPS = [
  (
    {"model": {"tasks": {LIKES: {"dcn_config": {"poly_degree": 2}}}}},
    f"{TASK}: found mlp_config and dcn_config, allowed: exactly one of "
    "mlp_config, dcn_config, dlrm_config, mask_net_config",
  ),
  (
    {"model": {"tasks": {LIKES: {"mlp_config": None}}}},
    f"{TASK}: found none of them, allowed: exactly one of "
    "mlp_config, dcn_config, dlrm_config, mask_net_config",
  ),
  (
    {"model": {"featurization_config": {"log1p_abs_config": {}}}},
    "model.featurization_config: found log1p_abs_config and double_norm_log_config, allowed: "
    "exactly one of log1p_abs_config, clip_log1p_abs_config, z_score_log_config, "
    "double_norm_log_config, fitted_log_config",
  ),
  (
    {"model": {"backbone": {"mask_net_config": {"mask_blocks": [{"output_size": 3}]}}}},
    "model.backbone.mask_net_config.mask_blocks.0: found none of them, allowed: exactly one of "
    "reduction_factor, aggregation_size",
  ),
  (
    {"train_data": {"explicit_date_inputs": {"data_root": "r", "end_date": "2023/3/1", "days": 1}}},
    "train_data: found inputs and explicit_date_inputs, allowed: exactly one of inputs, "
    "explicit_datetime_inputs, explicit_date_inputs",
  ),
  (
    {"train_data": {"inputs": None}},
    "train_data: found none of them, allowed: exactly one of inputs, explicit_datetime_inputs, "
    "explicit_date_inputs",
  ),
  (
    {"optimizer": {"single_task_learning_rate": RATE}},
    "optimizer: found multi_task_learning_rates and single_task_learning_rate, allowed: exactly "
    "one of multi_task_learning_rates, single_task_learning_rate",
  ),
  (
    {"optimizer": {"multi_task_learning_rates": {"backbone_learning_rate": {"constant": None}}}},
    "optimizer.multi_task_learning_rates.backbone_learning_rate: found none of them, allowed: "
    "exactly one of constant, linear_ramp_to_constant, linear_ramp_to_cosine, piecewise_constant",
  ),
]


_EXPERT = {"mlp_config": {"layer_sizes": [4]}}
_MMOE = {"num_experts": 2, "expert": _EXPERT}
_PLE = {"num_levels": 2, "num_shared_experts": 1, "num_task_experts": 1, "expert": _EXPERT}


def with_experts(**architecture):
  return {"model": {"backbone": {"mask_net_config": None, **architecture}}}


def test_experts_are_read():
  for changes in (with_experts(mmoe_config=_MMOE), with_experts(ple_config=_PLE)):
    assert_holds(dump(parse(changes)), changes)


# (changes, the full path of the key, what else the message says)
EXPERTS = [
  (with_experts(mmoe_config={**_MMOE, "num_experts": 0}), "mmoe_config.num_experts", "found 0"),
  (with_experts(mmoe_config={"expert": _EXPERT}), "mmoe_config.num_experts", "found nothing"),
  (with_experts(mmoe_config={"num_experts": 2}), "mmoe_config.expert", "found nothing"),
  (with_experts(mmoe_config={**_MMOE, "expert": {}}), "mmoe_config.expert", "found none of them"),
  (
    with_experts(mmoe_config={**_MMOE, "gate_layer_sizes": [4, 0]}),
    "mmoe_config.gate_layer_sizes.1",
    "found 0",
  ),
  (with_experts(ple_config={**_PLE, "num_levels": 0}), "ple_config.num_levels", "found 0"),
  (
    with_experts(ple_config={**_PLE, "num_shared_experts": 0}),
    "ple_config.num_shared_experts",
    "found 0",
  ),
  (
    with_experts(ple_config={**_PLE, "num_task_experts": 0}),
    "ple_config.num_task_experts",
    "found 0",
  ),
  (
    with_experts(ple_config={**_PLE, "expert": {"mmoe_config": _MMOE}}),
    "ple_config.expert.mmoe_config",
    "in the backbone only",
  ),
  (
    with_experts(mmoe_config={**_MMOE, "expert": {"dlrm_config": {}}}),
    "mmoe_config.expert.dlrm_config",
    "has no embeddings to interact",
  ),
  (with_experts(loss_weight=2.0, **_EXPERT), "loss_weight", "the backbone has no loss"),
]


@pytest.mark.parametrize(
  "changes, path, part", EXPERTS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_experts_that_cannot_work_are_named(changes, path, part):
  message = complaint(changes)
  assert message.startswith(f"model.backbone.{path}: ")
  assert part in message


@pytest.mark.parametrize("architecture", [{"mmoe_config": _MMOE}, {"ple_config": _PLE}], ids=list)
def test_a_tower_has_no_experts(architecture):
  (key,) = architecture
  message = complaint({"model": {"tasks": {LIKES: {"mlp_config": None, **architecture}}}})
  assert message.startswith(f"{TASK}.{key}: experts are mixed for each task, in the backbone only")


def test_weights_of_the_losses():
  assert parse({}).model.task_loss_reduction == "mean"
  assert {tower.loss_weight for tower in parse({}).model.tasks.values()} == {1.0}
  for weight in (-1.0, "x", float("inf")):
    message = complaint({"model": {"tasks": {LIKES: {"loss_weight": weight}}}})
    assert message.startswith(f"{TASK}.loss_weight: found {weight!r}")
  none = {task: {"loss_weight": 0} for task in example_config.TASKS}
  message = complaint({"model": {"tasks": none}})
  assert message.startswith("model.tasks: found loss_weight 0 for every task")
  message = complaint({"model": {"task_loss_reduction": "max"}})
  assert message.startswith("model.task_loss_reduction: found 'max'")


@pytest.mark.parametrize(
  "changes, message", GROUPS, ids=lambda x: x[:40] if isinstance(x, str) else ""
)
def test_exactly_one_of_a_group_is_given(changes, message):
  assert complaint(changes) == message


def test_an_explicit_null_counts_as_absent():
  changes = {
    "model": {"tasks": {LIKES: {"dcn_config": None, "affine_map": None, "pos_weight": None}}},
    "train_data": {"explicit_date_inputs": None, "cache": None, "preprocess": None},
    "validation_data": None,
    "score": {"negative_squash_epsilon": None},
    "which_metrics": None,
  }
  expected = example_config.content()
  del expected["model"]["tasks"][LIKES]["pos_weight"]
  assert parse(changes) == example_config.parse(expected)


@pytest.mark.parametrize("norm", ["batch_norm_config", "layer_norm_config"])
def test_null_leaves_a_norm_of_the_featurization_out(norm):
  section = {"featurization_config": {"double_norm_log_config": {norm: None}}}
  config = parse({"model": section}).model.featurization_config.double_norm_log_config
  assert getattr(config, norm) is None


def without(*path):
  mapping = example_config.content()
  node = mapping
  for key in path[:-1]:
    node = node[key]
  del node[path[-1]]
  return mapping


TOWERS = ("optimizer", "multi_task_learning_rates", "tower_learning_rates")


@pytest.mark.parametrize(
  "path, parts",
  [
    (
      ("train_data", "tasks", REPLIES),
      ["model.tasks.area.replies", "'area.replies' is missing from train_data.tasks",
       "did you mean 'area.replies_long'?", "found there: unused, area.replies_long"],
    ),
    (
      (*TOWERS, LIKES),
      ["model.tasks.likes", f"'likes' is missing from {'.'.join(TOWERS)}", "area.reports"],
    ),
    (("score", "weights", "area.reports"), ["score.weights", "no weight for area.reports"]),
  ],
  ids=["labels", "rates", "weights"],
)  # fmt: skip
def test_a_task_without_what_it_needs_is_named(path, parts):
  with pytest.raises(ConfigError) as error:
    example_config.parse(without(*path))
  for part in parts:
    assert part in str(error.value)


def test_things_for_tasks_that_the_model_does_not_have_are_named():
  message = complaint({"score": {"weights": {"area.repleis": 2}}})
  assert "score" in message
  assert "'area.repleis' is missing from model.tasks, did you mean 'area.replies'?" in message
  message = complaint(merged({}, {TOWERS[0]: {TOWERS[1]: {TOWERS[2]: {"like": RATE}}}}))
  assert "tower_learning_rates.like" in message
  assert "did you mean 'likes'?" in message
  message = complaint({"score": {"only_largest_of": [["area.replies", "area.repleis"]]}})
  assert "area.repleis" in message


def test_a_partition_needs_the_tasks_it_measures():
  data = {**example_config.content()["train_data"], "tasks": {LIKES: {}}}
  assert parse({"validation_data": {"p": {**data, "evaluation_tasks": [LIKES]}}})
  message = complaint({"validation_data": {"p": data}})
  assert "'area.replies' is missing from validation_data.p.tasks" in message
  message = complaint({"validation_data": {"p": {**data, "evaluation_tasks": ["like"]}}})
  assert "validation_data.p" in message
  assert "evaluation_tasks: 'like' is not among this section's tasks: likes" in message


_TWICE = [{"name": "a", "num_embeddings": 1, "embedding_dim": 1, "index": 0}] * 2
SHAPES = [
  (large(tables=[_LARGE_TABLE, _LARGE_TABLE]), f"{LARGE}.tables.1.name", "found 'a' again"),
  (
    {"model": {"small_embeddings": {"tables": _TWICE}}},
    "model.small_embeddings.tables.1.name",
    "found 'a' again",
  ),
  (large(tables_to_log=["a", "b"]), f"{LARGE}.tables_to_log.1", "no table is named 'b'"),
  (large(optimizer={}), f"{LARGE}.optimizer.learning_rate", "found neither learning_rate nor"),
  (
    {"model": {"tasks": {LIKES: {"mlp_config": {"layer_sizes": [5, 2]}}}}},
    "model.tasks.likes.mlp_config.layer_sizes",
    "the last size is 2, allowed: 1",
  ),
  (
    {"model": {"backbone": None}},
    "model.backbone",
    "found none, allowed with multi_task_type share_all",
  ),
  (
    {"model": {"multi_task_type": "share_none"}},
    "model.backbone",
    "found one, allowed with multi_task_type share_none: none",
  ),
  (
    {
      TOWERS[0]: {
        TOWERS[1]: {
          "backbone_learning_rate": {
            "constant": None,
            "piecewise_constant": {"learning_rate_boundaries": [1], "learning_rate_values": [0.1]},
          }
        }
      }
    },
    "optimizer.multi_task_learning_rates.backbone_learning_rate.piecewise_constant.learning_rate_values",
    "found 1 values, allowed: 2",
  ),
  (
    {
      TOWERS[0]: {
        TOWERS[1]: {
          "backbone_learning_rate": {
            "constant": None,
            "piecewise_constant": {
              "learning_rate_boundaries": [3, 1],
              "learning_rate_values": [0, 1, 2],
            },
          }
        }
      }
    },
    "optimizer.multi_task_learning_rates.backbone_learning_rate.piecewise_constant.learning_rate_boundaries",
    "found [3, 1]",
  ),
  (
    {
      TOWERS[0]: {
        TOWERS[1]: {
          "backbone_learning_rate": {
            "constant": None,
            "linear_ramp_to_cosine": {
              "learning_rate": 1,
              "final_learning_rate": 0,
              "num_ramp_steps": 5,
              "final_num_steps": 5,
            },
          }
        }
      }
    },
    "optimizer.multi_task_learning_rates.backbone_learning_rate.linear_ramp_to_cosine.final_num_steps",
    "found 5, allowed: more than num_ramp_steps (5)",
  ),
  ({"score": {"weights": {REPLIES: 4}}}, "score.weights", "found 3.0, 4.0"),
  ({"which_metrics": ["aucroc"]}, "which_metrics", "unknown metric, did you mean 'auroc'?"),
  ({"which_metrics": []}, "which_metrics", "found no name"),
  ({"evaluation": {"bootstrap_samples": 9}}, "evaluation.bootstrap_samples", "0 (no conf"),
  ({"evaluation": {"ranking_cutoffs": [3, 3]}}, "evaluation.ranking_cutoffs", "each number once"),
  ({"evaluation": {"what_if": {"a": {"like": 1}}}}, "evaluation.what_if.a.like", "is missing from"),
  ({"evaluation": {"what_if": {"a": {LIKES: "much"}}}}, f"evaluation.what_if.a.{LIKES}", "number"),
  ({"evaluation": {"what_if": {"a": {LIKES: True}}}}, f"evaluation.what_if.a.{LIKES}", "a boolean"),
  ({"evaluation": {"what_if": {"a": {REPLIES: 4}}}}, "evaluation.what_if.a", "found 3.0, 4.0"),
  (
    {"evaluation": {"baselines": {"always_mean": {}}}},
    "evaluation.baselines.always_mean",
    "measured always",
  ),
  (
    {"evaluation": {"baselines": {"logistic_regresion": {}}}},
    "evaluation.baselines.logistic_regresion",
    "found no probability_prefix",
  ),
  (
    {"evaluation": {"baselines": {"logistic_regression": {"probability_prefix": "p."}}}},
    "evaluation.baselines.logistic_regression",
    "found probability_prefix, allowed: {}",
  ),
  (
    {
      "evaluation": {
        "baselines": {n: {"probability_prefix": n, "is_upper_bound": True} for n in ("a", "b")}
      }
    },
    "evaluation.baselines",
    "found is_upper_bound for a and b, allowed: at most one",
  ),
  (
    {"model": {"stratifiers": [{"name": "a", "index": 0, "value": v} for v in (1, 2)]}},
    "model.stratifiers",
    "found two named 'a'",
  ),
  (
    {"score": {"only_largest_of": [[LIKES], [LIKES]]}},
    "score.only_largest_of",
    "'likes' stands in it twice",
  ),
  (
    {"train_data": {"seg_dense_schema": {"renamed_features": {"a": "x", "b": "x"}}}},
    "train_data.seg_dense_schema.renamed_features",
    "'x' is given two names",
  ),
]


@pytest.mark.parametrize(
  "changes, path, part", SHAPES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_contradictions_are_named(changes, path, part):
  message = complaint(changes)
  assert part in message
  # Perhaps in two pieces: the path of the section, then that of the key in it.
  assert path in message.replace(": ", ".")


@pytest.mark.parametrize(
  "changes, path, part", SHAPES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_contradictions_are_named_with_the_full_path_in_one_piece(changes, path, part):
  assert complaint(changes).startswith(f"{path}: ")


def test_no_task_at_all_is_refused():
  mapping = example_config.content()
  mapping["model"]["tasks"] = {}
  with pytest.raises(ConfigError, match="found no task, allowed: at least one"):
    example_config.parse(mapping)


# Overrides.


def load(path, *overrides):
  return load_config(path, overrides)


def test_overrides_are_applied_in_order(file):
  path = file(example_config.content())
  config = load(
    path,
    "training.seed=5",
    "training.seed=7",
    "train_data.global_batch_size=64",
    "model.multi_task_type=share_partial",
    "training.num_train_steps: 3".replace(": ", " = "),
  )
  assert config.training.seed == 7
  assert config.training.num_train_steps == 3
  assert config.train_data.global_batch_size == 64
  assert config.model.multi_task_type == "share_partial"


def test_a_task_name_with_dots_is_found_as_it_stands(file):
  path = file(example_config.content())
  config = load(
    path,
    "model.tasks.area.replies.pos_weight=4",
    "model.tasks.area.replies_long.pos_weight=5",
    'model.tasks."area.reports".pos_weight=6',
    "model.tasks.'likes'.pos_weight=7",
  )
  assert [config.model.tasks[task].pos_weight for task in example_config.TASKS] == [7, 4, 6, 5]


def test_the_longest_key_that_exists_is_meant(file):
  content = yaml_file.read(file({"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "a.bc": 3}), ["a.b.c=5"])
  assert content == {"a": {"b": {"c": 1}}, "a.b": {"c": 5}, "a.bc": 3}


def test_a_new_task_is_quoted(file):
  path = file(example_config.content())
  config = load(
    path,
    'model.tasks."new.task".mlp_config.layer_sizes=[1]',
    'train_data.tasks."new.task"={}',
    f"{'.'.join(TOWERS)}.'new.task'.constant=0.5",
    'score.weights."new.task"=0',
  )
  assert list(config.model.tasks)[-1] == "new.task"
  assert config.score.weights["new.task"] == 0


def test_lists_take_an_index(file):
  path = file(example_config.content())
  blocks = "model.backbone.mask_net_config.mask_blocks"
  config = load(path, f"{blocks}.1.output_size=9", "model.tasks.likes.mlp_config.layer_sizes.0=8")
  assert [b.output_size for b in config.model.backbone.mask_net_config.mask_blocks] == [4, 9]
  assert config.model.tasks[LIKES].mlp_config.layer_sizes == [8, 3, 1]
  for index in ("2", "-1", "x", "²", ""):
    with pytest.raises(ConfigError, match=r"found index .*, allowed: 0 to 1"):
      load(path, f"{blocks}.{index}.output_size=9")


def test_null_removes_and_a_mapping_replaces(file):
  path = file(example_config.content())
  config = load(path, "model.tasks.area.replies.affine_map=null", "optimizer.adam={beta_1: 0.5}")
  assert config.model.tasks[REPLIES].affine_map is None
  assert config.optimizer.adam.beta_1 == 0.5
  assert config.optimizer.adam.beta_2 == 0.999


@pytest.mark.parametrize(
  "override, part",
  [
    ("training.seed", "allowed: dotted.key=value"),
    ("=3", "allowed: dotted.key=value"),
    ("  =3", "allowed: dotted.key=value"),
    ("training.seed=[1", "no valid YAML"),
    ("training.seed.deeper=1", "'seed' holds 3 (int), no mapping"),
    ("training..seed=1", "no dotted key"),
    (".seed=1", "no dotted key"),
    ('training."a"b=1', "no dotted key"),
    ("training.seed.=1", "no dotted key"),
    ("training.=1", "no dotted key"),
    ("training.end=2023-99-99", "no valid YAML"),
    ("training.seed=0b_", "no valid YAML"),
    ("training.seed={? !!set {a} : 1}", "no valid YAML"),
  ],
)
def test_an_override_that_cannot_be_applied_is_named(file, override, part):
  with pytest.raises(ConfigError) as error:
    load(file(example_config.content()), override)
  assert f"override {override!r}" in str(error.value)
  assert part in str(error.value)


def test_an_override_of_an_unknown_key_is_refused_like_one_in_the_file(file):
  with pytest.raises(ConfigError, match=r"training\.sede: unknown key, did you mean 'seed'\?"):
    load(file(example_config.content()), "training.sede=1")


ANCHORED = """
tower: &tower
  batch_norm: &norm {affine: false, momentum: 0.1}
  layer_sizes: [5, 1]
towers:
  one: {mlp_config: *tower}
  two: {mlp_config: {<<: *tower, layer_sizes: [3, 1]}}
list: [*norm, *norm]
"""


def test_an_override_does_not_reach_an_anchors_twins(file):
  path = file(ANCHORED)
  overrides = [
    "towers.one.mlp_config.batch_norm.momentum=0.5",
    "towers.one.mlp_config.layer_sizes.0=9",
    "list.0.affine=true",
  ]
  content = yaml_file.read(path, overrides)
  assert content["towers"]["one"]["mlp_config"] == {
    "batch_norm": {"affine": False, "momentum": 0.5},
    "layer_sizes": [9, 1],
  }
  plain = {"affine": False, "momentum": 0.1}
  assert content["towers"]["two"]["mlp_config"] == {"batch_norm": plain, "layer_sizes": [3, 1]}
  assert content["tower"] == {"batch_norm": plain, "layer_sizes": [5, 1]}
  assert content["list"] == [{**plain, "affine": True}, plain]


def test_anchors_and_merge_keys_work_in_a_configuration(file):
  text = yaml.safe_dump(example_config.content(), sort_keys=False)
  section = "    likes:\n      mlp_config:\n"
  assert text.count(section) == 1
  text = text.replace(section, "    likes:\n      mlp_config: &mlp\n")
  text += textwrap.dedent("""
    validation_data:
      copy: &data
        inputs: other.gz
        global_batch_size: 4
        seg_dense_schema: {schema_path: schema.json}
        tasks: {likes: {}, area.replies: {}, area.reports: {}, area.replies_long: {}}
      smaller: {<<: *data, global_batch_size: 2}
  """)
  config = load(file(text))
  assert config.validation_data["copy"].global_batch_size == 4
  assert config.validation_data["smaller"].global_batch_size == 2
  assert config.validation_data["smaller"].inputs == "other.gz"


@pytest.mark.parametrize(
  "text, part",
  [
    ("a: 1\nb: 2\na: 3", "key 'a' is given twice, first in line 1"),
    ("a: {x: 1, y: 2, x: 3}", "key 'x' is given twice"),
    ("a: [1", "no valid YAML"),
    ("- 1", "found [1] (list), allowed: a mapping"),
    ("", "found None (NoneType), allowed: a mapping"),
    ("just text", "found 'just text' (str), allowed: a mapping"),
    ("a: !!python/object:os.system x", "no valid YAML"),
    ("a: 2023-99-99", "no valid YAML"),
    ("? [1]\n: 2", "no valid YAML"),
    ("? !!set {a}\n: 2", "no valid YAML"),
  ],
)
def test_a_file_that_is_no_configuration_is_refused(file, text, part):
  path = file(text)
  with pytest.raises(ConfigError) as error:
    load(path)
  assert str(path) in str(error.value)
  assert part in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
  with pytest.raises(ConfigError, match=r"none\.yaml: the configuration file cannot be read"):
    load(tmp_path / "none.yaml")
  with pytest.raises(ConfigError, match="cannot be read"):
    load(tmp_path)
  (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
  with pytest.raises(ConfigError, match="cannot be read"):
    load(tmp_path / "binary.yaml")


def test_a_message_begins_with_the_files_name(file):
  path = file({**example_config.content(), "x": 1})
  with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: the configuration cannot be"):
    load(path)


# Environment variables.


@pytest.mark.parametrize(
  "written, meant",
  [
    ("$HOME/runs", "/home/someone/runs"),
    ("${HOME}/runs", "/home/someone/runs"),
    ("${HOME}s/$THING.gz", "/home/someones/a thing.gz"),
    ("costs $$5 and $${HOME}", "costs $5 and ${HOME}"),
    ("$UNSET_OF_TEST/runs", "$UNSET_OF_TEST/runs"),
    ("${UNSET_OF_TEST}/runs", "${UNSET_OF_TEST}/runs"),
    ("100$", "100$"),
    ("${}", "${}"),
  ],
)
def test_environment_variables(file, monkeypatch, written, meant):
  monkeypatch.setenv("HOME", "/home/someone")
  monkeypatch.setenv("THING", "a thing")
  monkeypatch.delenv("UNSET_OF_TEST", raising=False)
  mapping = example_config.content()
  mapping["training"]["save_dir"] = written
  assert load(file(mapping)).training.save_dir == meant


def test_a_variable_may_be_a_number(file, monkeypatch):
  monkeypatch.setenv("BATCH", "32")
  mapping = example_config.content()
  mapping["train_data"]["global_batch_size"] = "${BATCH}"
  assert load(file(mapping)).train_data.global_batch_size == 32


def test_the_files_own_folder_and_the_user_are_known(file, monkeypatch):
  monkeypatch.delenv("USER", raising=False)
  mapping = example_config.content()
  mapping["training"]["save_dir"] = "${CONFIG_DIR}/runs"
  path = file(mapping)
  assert load(path).training.save_dir == f"{path.resolve().parent}/runs"
  monkeypatch.setenv("USER", "somebody")
  assert load(path, "training.seed=1").training.save_dir.endswith("/runs")
  mapping["training"]["save_dir"] = "/runs/$USER"
  assert load(file(mapping)).training.save_dir == "/runs/somebody"


# Properties.

SCALARS = (
  st.none()
  | st.booleans()
  | st.integers(-(10**9), 10**9)
  | st.floats(allow_nan=False)
  | st.text(max_size=8)
)
VALUES = st.recursive(
  SCALARS,
  lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
  ),
  max_leaves=6,
).filter(lambda value: value is not None)


def key_paths(node, path=()):
  """The path of every key of a content, with its value."""
  items = node.items() if isinstance(node, dict) else enumerate(node)
  for key, value in items:
    yield (*path, key), value
    if isinstance(value, (dict, list)) and value:
      yield from key_paths(value, (*path, key))


PATHS = list(key_paths(example_config.content()))


def get(node, path):
  for key in path:
    node = node[key]
  return node


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PATHS), VALUES)
def test_any_override_of_an_existing_key_sets_it_and_nothing_else(path_and_value, value):
  path, _ = path_and_value
  content, expected = example_config.content(), example_config.content()
  text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
  text = text.removesuffix("\n").removesuffix("\n...")
  yaml_file.apply_override(content, f"{'.'.join(map(str, path))}={text}")
  get(expected, path[:-1])[path[-1]] = value
  assert content == expected


@pytest.mark.parametrize("path_and_value", PATHS[::7])
def test_an_override_of_null_removes_the_key(path_and_value):
  path, _ = path_and_value
  content, expected = example_config.content(), example_config.content()
  yaml_file.apply_override(content, f"{'.'.join(map(str, path))}=null")
  parent = get(expected, path[:-1])
  if isinstance(parent, dict):
    del parent[path[-1]]
  else:
    parent[path[-1]] = None
  assert content == expected


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\"'="), min_size=1, max_size=10)


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), VALUES)
def test_any_quoted_new_key_is_set(names, value):
  content = {"other": {"a": [1]}}
  names = ["new key", *names]
  text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
  key = ".".join(f'"{name}"' for name in names)
  yaml_file.apply_override(content, f"{key}={text.removesuffix('...' + chr(10))}")
  assert get(content, names) == value
  assert content["other"] == {"a": [1]}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_override_is_applied_or_refused(key, value):
  try:
    yaml_file.apply_override(example_config.content(), f"{key}={value}")
  except ConfigError as error:
    assert "override" in str(error)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_random_change_is_read_or_refused_with_its_path(data):
  mapping = example_config.content()
  for _ in range(data.draw(st.integers(1, 3))):
    paths = list(key_paths(mapping))
    path, _ = data.draw(st.sampled_from(paths))
    parent = get(mapping, path[:-1])
    if data.draw(st.booleans()):
      parent[path[-1]] = data.draw(VALUES)
    elif isinstance(parent, dict) and data.draw(st.booleans()):
      parent[data.draw(st.text(max_size=8))] = data.draw(VALUES)
    else:
      del parent[path[-1]]
    if not list(key_paths(mapping)):
      break
  try:
    assert isinstance(example_config.parse(mapping), HeavyRankerConfig)
  except ConfigError as error:
    assert str(error).startswith("example: the configuration cannot be used:\n  ")


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_anything_but_a_configuration_is_refused(value):
  with pytest.raises(ConfigError):
    validate(HeavyRankerConfig, value, "example")


@settings(
  max_examples=200,
  suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.text(max_size=40))
def test_any_text_is_a_configuration_or_refused(file, text):
  path = file(example_config.content())
  path.write_text(text, encoding="utf-8")
  with pytest.raises(ConfigError):
    load(path)
