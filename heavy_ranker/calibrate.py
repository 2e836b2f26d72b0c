"""Command: calibrates a checkpoint on held-out data."""

from absl import flags

from heavy_ranker.config import load_config
from heavy_ranker.training.cluster.alone import require_alone
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint",
  None,
  "The checkpoint (default: the newest of training.save_dir, or with training.early_stopping the "
  "best).",
)


def _main() -> None:
  require_alone("calibrate")
  config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.calibration.calibrator import calibrate
  from heavy_ranker.calibration.table import format_calibration
  from tfrecords.command_hints import command

  result = calibrate(config, _CHECKPOINT.value)
  print(
    f"{format_calibration(result)}\n\nstored in {result.path}; evaluation and export of this "
    f"checkpoint now apply it\nnext: {command('heavy_ranker', 'export')} with the same flags"
  )


if __name__ == "__main__":
  command_line.run(
    _main,
    """Fits each task's probabilities to a held-out partition, after training.

Nothing is trained: the checkpoint stays as it is, and evaluation and export of it apply what was
fitted. The partition should be no part of the training data, and not the one you report.

  ./bazelw run //heavy_ranker:calibrate
  ./bazelw run //heavy_ranker:calibrate -- --set calibration.method=isotonic \\
      --set calibration.partition=holdout
""",
  )
