"""Which columns `tfrecords.slicing` says it keeps; preprocessing_test.py has the rest."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.config.data import TruncateAndSlice
from tfrecords.schema import Feature
from tfrecords.slicing import Slicing

FEATURE = Feature("cont_vals", "continuous", "float_list", 6)


@pytest.mark.parametrize("truncation", [None, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_columns_are_those_that_slicing_keeps(tmp_path, truncation, masked):
  section = {"continuous_feature_truncation": truncation}
  if masked:
    mask = np.array([1, 0, 0, 1, 0, 1])[:truncation]
    np.save(tmp_path / "mask.npy", mask)
    section["continuous_feature_mask_path"] = str(tmp_path / "mask.npy")
  slicing = Slicing(TruncateAndSlice(**section), "key")
  kept = slicing({"continuous": tf.range(6)[tf.newaxis]})["continuous"]
  assert slicing.columns(FEATURE).tolist() == kept[0].numpy().tolist()
  assert Slicing(None, "key").columns(FEATURE).tolist() == list(range(6))
