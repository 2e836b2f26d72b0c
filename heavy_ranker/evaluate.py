"""Command: measures a checkpoint, or each one as training writes it."""

from absl import flags

from heavy_ranker import preemption
from heavy_ranker.config import load_config
from heavy_ranker.training.cluster.alone import require_alone
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint",
  None,
  "The checkpoint (default: the newest of training.save_dir, or with training.early_stopping the "
  "best).",
)
_FOLLOW = flags.DEFINE_bool(
  "follow",
  False,
  "Measure each checkpoint that has no result yet, the oldest first, until training is done.",
)
_AGAIN = flags.DEFINE_bool("again", False, "With --follow: also those that have a result already.")


@preemption.handled()
def _main() -> None:
  require_alone("evaluate")
  config = load_config(command_line.config_path(), command_line.overrides())
  if _FOLLOW.value and _CHECKPOINT.value is not None:
    raise ConfigError("--checkpoint: found one beside --follow, allowed: one of the two")
  if _AGAIN.value and not _FOLLOW.value:
    raise ConfigError("--again: found without --follow, which it belongs to")
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.evaluation.evaluator import Evaluator
  from heavy_ranker.evaluation.follower import follow
  from heavy_ranker.evaluation.table import format_result

  if _FOLLOW.value:
    print(follow(config, _AGAIN.value))
  else:
    print(format_result(Evaluator(config).run(_CHECKPOINT.value)))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures a checkpoint on every partition of validation_data.

  ./bazelw run //heavy_ranker:evaluate
  ./bazelw run //heavy_ranker:evaluate -- --set training.num_eval_steps=-1
  ./bazelw run //heavy_ranker:evaluate -- --follow

Baselines (evaluation.baselines) are measured beside the model; the logistic regression is trained
first where it has not been.

--follow ends with exit code 0 once the checkpoint of training.num_train_steps is measured, and with
7 when no new checkpoint comes for training.eval_timeout_in_s seconds.
""",
  )
