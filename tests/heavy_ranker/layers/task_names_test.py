"""Tests of `heavy_ranker.layers.task_names`."""

from heavy_ranker.layers.task_names import name_of_task


def test_keeps_what_a_layer_name_can_hold():
  assert name_of_task("gate", "area.is_replied-2") == "gate.area.is_replied-2"
  assert name_of_task("gate", "my task/\u00e4") == "gate.my_task__"
