"""A configuration that cannot work says so before a record is read."""

import json

import numpy as np
import pytest

from heavy_ranker import build_model, evaluate, export, train
from heavy_ranker.config_check import check_config
from heavy_ranker.full_run import train_evaluate_export
from heavy_ranker.layers.tower import tower_name
from tests.heavy_ranker.small_run import TASKS, small_config, write_config
from tfrecords import shards
from tfrecords.errors import CheckpointError, ConfigError, DataError

MLP = {"layer_sizes": [6, 1]}
BLOCK = {"output_size": 1, "aggregation_size": 3}
TOWER = f"model.tasks.{TASKS[0]}"
RENAMED = "train_data.seg_dense_schema.renamed_features"
CONCAT = "model.featurization_config.feature_names_to_concat"
PARTITION = "validation_data.validation"
DLRM = {"bottom_mlp": {"layer_sizes": [4]}, "top_mlp": MLP}


def setting(key, value):
  return f"{key}={json.dumps(value)}"


def extracted(name, index=0, source="continuous"):
  row = {"name": name, "source_tensor": source, "index": index}
  return {"extract_features": {"extract_feature_table": [row]}}


# (overrides, what the message says)
IMPOSSIBLE = {
  "mlp_tower": (
    [setting(f"{TOWER}.mlp_config.layer_sizes", [6, 2])],
    f"{TOWER}.mlp_config.layer_sizes: the last size is 2, allowed: 1",
  ),
  "mask_net_tower": (
    [setting(TOWER, {"mask_net_config": {"mask_blocks": [BLOCK], "mlp": {"layer_sizes": [3]}}})],
    f"{TOWER}.mask_net_config.mlp.layer_sizes: the last size is 3, allowed: 1",
  ),
  # A layer norm over one unit is constant.
  "mask_net_tower_without_mlp": (
    [setting(TOWER, {"mask_net_config": {"mask_blocks": [BLOCK]}})],
    f"{TOWER}.mask_net_config.mlp: found none, allowed in a tower",
  ),
  "cross_net_tower": (
    [setting(TOWER, {"dcn_config": {"poly_degree": 1}})],
    f"{TOWER}.dcn_config.output_mlp: found none, allowed in a tower",
  ),
  "parallel_dcn_tower": (
    [setting(TOWER, {"dcn_config": {"poly_degree": 1, "parallel_mlp": MLP, "use_parallel": True}})],
    f"{TOWER}.dcn_config.output_mlp: found none, allowed in a tower",
  ),
  "stacked_dcn_tower": (
    [setting(TOWER, {"dcn_config": {"poly_degree": 1, "parallel_mlp": {"layer_sizes": [2]}}})],
    f"{TOWER}.dcn_config.parallel_mlp.layer_sizes: the last size is 2, allowed: 1",
  ),
  "dlrm_tower": (
    [
      setting(TOWER, {"dlrm_config": {**DLRM, "top_mlp": {"layer_sizes": [2]}}}),
      "model.multi_task_type=share_none",
      "model.backbone=null",
    ],
    f"{TOWER}.dlrm_config.top_mlp.layer_sizes: the last size is 2, allowed: 1",
  ),
  "dlrm_width": (
    [setting("model.backbone", {"dlrm_config": {**DLRM, "bottom_mlp": {"layer_sizes": [5]}}})],
    "model.backbone.dlrm_config.bottom_mlp.layer_sizes: the last size is 5, allowed: 4",
  ),
  "dlrm_without_embeddings": (
    [
      setting("model.backbone", {"dlrm_config": DLRM}),
      f"{RENAMED}.user_embedding=null",
      f"{RENAMED}.author_embedding=null",
    ],
    "model.backbone.dlrm_config: found no embedding",
  ),
  "options_of_a_tower_in_the_backbone": (
    [setting("model.backbone.affine_map", {"scale": 2})],
    "model.backbone: found affine_map or pos_weight, allowed: under tasks only",
  ),
  "missing_input": ([setting(CONCAT, ["binaries"])], "the input 'binaries' is needed and missing"),
  "label_as_input": ([setting(CONCAT, [TASKS[0]])], f"the input '{TASKS[0]}' is needed and miss"),
  "input_twice": ([setting(CONCAT, ["binary", "binary"])], f"{CONCAT}: 'binary' would be joined"),
  "continuous_twice": ([setting(CONCAT, ["continuous"])], f"{CONCAT}: 'continuous' would be join"),
  "input_with_a_dot": (
    [f"{RENAMED}.binary=null", setting(CONCAT, ["record.binary"])],
    f"{CONCAT}: found 'record.binary', allowed: letters",
  ),
  "input_called_self": (
    [setting("train_data.preprocess", extracted("self")), setting(CONCAT, ["self"])],
    f"{CONCAT}: found 'self', allowed: letters",
  ),
  "input_called_class": (
    [setting("train_data.preprocess", extracted("class")), setting(CONCAT, ["class"])],
    f"{CONCAT}: found 'class', allowed: letters",
  ),
  "truncation": (
    ["train_data.preprocess.truncate_and_slice.continuous_feature_truncation=10"],
    "continuous_feature_truncation: found 10, allowed: at most 9",
  ),
  "extracted_column": (
    [setting("train_data.preprocess", extracted("x", index=9)), setting(CONCAT, ["x"])],
    "index: found 9, allowed: -9 to 8",
  ),
  "positives_of_no_task": (
    [
      setting(
        "train_data.preprocess.downsample_negatives",
        {"batch_multiplier": 2, "engagements_list": ["likes"], "num_engagements": 1},
      )
    ],
    "train_data.preprocess.downsample_negatives",
  ),
  "label_not_in_the_schema": (
    ['train_data.tasks."other"={}'],
    "train_data.tasks.other: the schema .* has no such label",
  ),
  "partition_without_a_task": (
    [f"{PARTITION}.tasks.{TASKS[0]}=null"],
    f"task '{TASKS[0]}' is missing from {PARTITION}.tasks",
  ),
  "partition_of_another_width": (
    [f"{PARTITION}.preprocess=null"],
    f"{PARTITION}.preprocess: 'continuous' has 9 columns, allowed: 7, as in train_data",
  ),
  "partition_without_an_input": (
    [f"{PARTITION}.seg_dense_schema.renamed_features.binary=null"],
    f"{PARTITION}.seg_dense_schema: 'binary' is needed and missing",
  ),
  "partition_of_an_unknown_feature": (
    [f"{PARTITION}.seg_dense_schema.renamed_features.binary=recorded.binary"],
    f"{PARTITION}.seg_dense_schema: the schema has no feature 'recorded.binary'",
  ),
  "evaluation_task_twice": (
    [setting(f"{PARTITION}.evaluation_tasks", [TASKS[0], TASKS[0]])],
    f"{PARTITION}.evaluation_tasks: '{TASKS[0]}' stands in it twice",
  ),
  "no_evaluation_task": ([f"{PARTITION}.evaluation_tasks=[]"], f"{PARTITION}.evaluation_tasks: fo"),
  "no_evaluation": (["training.num_eval_steps=0"], "training.num_eval_steps: found 0, allowed: at"),
  "boolean_as_a_number": (
    ["training.num_train_steps=true"],
    r"training.num_train_steps: found True \(bool\), allowed: a number; true and false are none",
  ),
}


@pytest.fixture(autouse=True)
def no_record_file_is_looked_at(monkeypatch):
  def refuse(*arguments):
    raise AssertionError("a record file was looked at")

  monkeypatch.setattr(shards, "shards_of", refuse)


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_training_is_refused_before_a_record_is_read(name, tmp_path):
  overrides, message = IMPOSSIBLE[name]
  with pytest.raises(ConfigError, match=message):
    train(small_config(tmp_path, *overrides))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["dlrm_width", "truncation", "partition_of_another_width"])
def test_so_is_evaluation(name, tmp_path):
  overrides, message = IMPOSSIBLE[name]
  with pytest.raises(ConfigError, match=message):
    evaluate(small_config(tmp_path, *overrides))


@pytest.mark.parametrize("name", ["dlrm_width", "input_with_a_dot", "truncation"])
def test_so_is_an_export(name, tmp_path):
  overrides, message = IMPOSSIBLE[name]
  with pytest.raises(ConfigError, match=message):
    export(small_config(tmp_path, *overrides), export_dir=str(tmp_path / "saved"))
  assert not (tmp_path / "saved").exists()


def test_an_export_does_not_need_the_partitions(tmp_path):
  overrides, _ = IMPOSSIBLE["partition_of_another_width"]
  with pytest.raises(CheckpointError):
    export(small_config(tmp_path, *overrides))


def test_random_records_are_not_written_for_an_impossible_model(tmp_path):
  overrides, message = IMPOSSIBLE["dlrm_width"]
  inputs = f"train_data.inputs={tmp_path / 'none' / '*.gz'}"
  with pytest.raises(ConfigError, match=message):
    train_evaluate_export(small_config(tmp_path, *overrides, inputs), make_missing_data=True)
  assert not (tmp_path / "none").exists()


def test_a_mask_that_does_not_fit_is_refused(tmp_path):
  np.save(tmp_path / "mask.npy", np.ones(5))
  key = "train_data.preprocess.truncate_and_slice.continuous_feature_mask_path"
  with pytest.raises(ConfigError, match=f"{key}: the mask has 5 entries, allowed: 7"):
    train(small_config(tmp_path, f"{key}={tmp_path / 'mask.npy'}"))
  with pytest.raises(DataError, match=f"{key}: .*none.npy cannot be read"):
    train(small_config(tmp_path, f"{key}={tmp_path / 'none.npy'}"))


def test_two_tasks_cannot_share_a_towers_name(tmp_path):
  schema = json.loads(write_config(tmp_path).with_name("schema.json").read_text())
  tasks = ["my likes", "my/likes"]
  assert len({tower_name(task) for task in tasks}) == 1
  schema["schema"] += [{"feature_name": task, "dtype": "int64_list", "length": 1} for task in tasks]
  (tmp_path / "schema.json").write_text(json.dumps(schema))
  rates = "optimizer.multi_task_learning_rates.tower_learning_rates"
  overrides = [
    setting(f'{key}."{task}"', value)
    for task in tasks
    for key, value in {
      "model.tasks": {"mlp_config": MLP},
      "train_data.tasks": {},
      f"{PARTITION}.tasks": {},
      rates: {"constant": 0.1},
      "score.weights": 1,
    }.items()
  ]
  with pytest.raises(ConfigError, match="model.tasks.my/likes: its tower would bear the name of"):
    train(small_config(tmp_path, *overrides))


@pytest.mark.parametrize("name", ["logits", "backbone", "user_embedding_norm", "score", "training"])
def test_a_feature_may_be_called_as_a_layer_is(name, tmp_path):
  overrides = [setting("train_data.preprocess", extracted(name)), setting(CONCAT, [name])]
  config = small_config(tmp_path, *overrides, "validation_data=null")
  check_config(config)
  assert name in build_model(config).input
