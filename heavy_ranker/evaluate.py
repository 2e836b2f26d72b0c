"""Command: measures a checkpoint."""

from absl import flags

from heavy_ranker.config import load_config
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", None, "The checkpoint (default: the newest of training.save_dir)."
)


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.evaluation.evaluator import evaluate
  from heavy_ranker.evaluation.table import format_metrics

  print(format_metrics(evaluate(config, _CHECKPOINT.value)))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures a checkpoint on every partition of validation_data.

  ./bazelw run //heavy_ranker:evaluate
  ./bazelw run //heavy_ranker:evaluate -- --set training.num_eval_steps=-1
""",
  )
