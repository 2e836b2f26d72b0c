"""Command: how much a checkpoint relies on groups of features, and on single ones."""

from absl import flags

from heavy_ranker.config import load_config
from heavy_ranker.config.evaluation import IMPORTANCE_METRICS
from heavy_ranker.training.cluster.alone import require_alone
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint",
  None,
  "The checkpoint (default: the newest of training.save_dir, or with training.early_stopping the "
  "best).",
)
_PARTITION = flags.DEFINE_string(
  "partition", None, "The partition of validation_data (default: the only one)."
)
_MAX_EXAMPLES = flags.DEFINE_integer(
  "max_examples",
  8192,
  "How many of its examples, from the first on, are kept in memory and measured on.",
  lower_bound=2,
)
_METRIC = flags.DEFINE_enum(
  "metric", IMPORTANCE_METRICS[0], IMPORTANCE_METRICS, "What the model loses without a feature."
)
_REPEATS = flags.DEFINE_integer(
  "repeats", 5, "How many permutations each number is the mean of.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the permutations.", lower_bound=0)
_GROUPS = flags.DEFINE_string(
  "groups",
  None,
  "A YAML or JSON file that says which columns belong together, such as "
  "configs/demo/feature_groups.yaml (default: each input of the model is a group).",
)
_SINGLE_FEATURES = flags.DEFINE_string(
  "single_features",
  "none",
  "Measures single columns, too: all, those of one group, or none. The time is told beforehand.",
)


def _main() -> None:
  require_alone("importance")
  config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.evaluation.importance import (
    ImportanceOptions,
    importance_places,
    measure_importance,
  )
  from heavy_ranker.evaluation.importance_table import format_importance

  result = measure_importance(
    config,
    ImportanceOptions(
      checkpoint=_CHECKPOINT.value,
      partition=_PARTITION.value,
      max_examples=_MAX_EXAMPLES.value,
      metric=_METRIC.value,
      repeats=_REPEATS.value,
      seed=_SEED.value,
      groups=_GROUPS.value,
      single_features=_SINGLE_FEATURES.value,
    ),
  )
  print(f"\n{format_importance(result)}\n\n{importance_places(config, result)}")


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures what a metric loses when the values of some features are permuted over the examples.

  ./bazelw run //heavy_ranker:importance
  ./bazelw run //heavy_ranker:importance -- --config_path=configs/demo.yaml \\
      --groups=configs/demo/feature_groups.yaml --single_features=all
""",
  )
