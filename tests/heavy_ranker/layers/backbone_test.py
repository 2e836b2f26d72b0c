"""Tests of `heavy_ranker.layers.backbone`."""

import numpy as np
import pytest

from heavy_ranker.config.model import BackboneConfig
from heavy_ranker.layers.backbone import make_backbone, mixes_for_each_task
from heavy_ranker.layers.layered_extraction import LayeredExtraction
from heavy_ranker.layers.mixture_of_experts import MixtureOfExperts
from heavy_ranker.layers.mlp import Mlp

MLP = {"mlp_config": {"layer_sizes": [4]}}
PLE = {"num_levels": 1, "num_shared_experts": 1, "num_task_experts": 1, "expert": MLP}


@pytest.mark.parametrize(
  "config, kind, shape",
  [
    (MLP, Mlp, (2, 4)),
    ({"mmoe_config": {"num_experts": 2, "expert": MLP}}, MixtureOfExperts, (2, 3, 4)),
    ({"ple_config": PLE}, LayeredExtraction, (2, 3, 4)),
  ],
)
def test_makes_what_the_configuration_sets(config, kind, shape):
  config = BackboneConfig(**config)
  layer = make_backbone(config, ["a", "b", "c"], 0, True, "backbone")
  assert isinstance(layer, kind)
  assert layer.name == "backbone"
  assert layer(np.ones([2, 5], np.float32)).shape == shape
  assert mixes_for_each_task(config) == (len(shape) == 3)
