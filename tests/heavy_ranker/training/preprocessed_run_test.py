"""A run with every preprocessor, on folders of days: it trains, and its export sees the same."""

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.model import build_model
from heavy_ranker.serving.signatures import make_predict, make_raw_parser
from heavy_ranker.training.trainer import train
from tests.heavy_ranker import small_run
from tfrecords.config.strict_model import validate
from tfrecords.input_pipeline import InputPipeline

LIKED = small_run.TASKS[0]


@pytest.fixture(name="config")
def config_fixture(tmp_path):
  content = small_run.small_content(tmp_path)
  small_run.write_records(tmp_path / "days" / "2023" / "03" / "01", num_examples=96)
  days = {"data_root": str(tmp_path / "days"), "end_date": "2023/03/01", "days": 2}
  section = content["train_data"]
  section.pop("inputs")
  section["explicit_date_inputs"] = {**days, "num_missing_days_tol": 1}
  section["seg_dense_schema"]["mask_mantissa_features"] = {"user_embedding": 12}
  section["preprocess"] = {
    "truncate_and_slice": {"continuous_feature_truncation": 7},
    "downcast": {"features": {"continuous": "bfloat16", "binary": "uint8"}},
    "extract_features": {
      "extract_feature_table": [
        {"name": "first", "source_tensor": "continuous", "index": 0},
        {"name": "flag", "source_tensor": "binary", "index": -1},
      ]
    },
    "downsample_negatives": {
      "batch_multiplier": 2,
      "engagements_list": [LIKED],
      "num_engagements": 3,
    },
  }
  featurization = content["model"]["featurization_config"]
  featurization["feature_names_to_concat"] = ["binary", "first", "flag"]
  content["training"].update(num_train_steps=3, checkpoint_every_n=3)
  content["validation_data"] = {}
  return validate(HeavyRankerConfig, content, "test")


def test_training_and_export_agree(config):
  history = train(config)
  assert len(history) == 3 and np.isfinite([entry["loss"] for entry in history]).all()
  ranker = build_model(config)
  assert ranker.input["first"].shape.as_list() == [None, 1]
  names = tuple(ranker.input)
  pipeline = InputPipeline(config.train_data, "evaluate", names)
  features, _, _ = next(iter(pipeline.dataset))
  predict = make_predict(ranker, list(config.model.tasks))
  files = [shard.path for shard in pipeline.shards]
  (records,) = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(16).take(1)
  found = predict(make_raw_parser(config, names)(records))
  np.testing.assert_array_equal(found["score"], predict(features)["score"])
  assert np.isfinite(found["score"]).all()
