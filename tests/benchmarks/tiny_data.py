"""Planted records in the shape of configs/demo.yaml, few enough for a test."""

from pathlib import Path

from heavy_ranker import load_config
from tfrecords import paths
from tfrecords.generator import generate

ARCHITECTURES = Path(paths.package_root()) / "configs" / "architectures"


def write_tiny_data(folder: Path, write_probabilities: bool = True) -> list[str]:
  """Writes them and returns the overrides that make a configuration use them."""
  overrides = [
    f"train_data.inputs={folder}/train/*.gz",
    "train_data.global_batch_size=32",
    "train_data.examples_shuffle_buffer_size=10",
    f"validation_data.validation.inputs={folder}/validation/*.gz",
  ]
  config = load_config(ARCHITECTURES.parent / "demo.yaml", overrides)
  generate(config.train_data, n_examples=64, num_shards=2, kind="planted", seed=1)
  generate(
    config.validation_data["validation"],
    n_examples=400,
    num_shards=2,
    kind="planted",
    seed=2,
    write_probabilities=write_probabilities,
  )
  return overrides
