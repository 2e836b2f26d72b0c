"""Command: trains a ranker, measures it, exports it."""

from absl import flags

from heavy_ranker import preemption
from heavy_ranker.config import load_config
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_FRESH = flags.DEFINE_bool(
  "fresh", False, "Start over; an earlier run in training.save_dir is moved aside, not deleted."
)
_EXPORT_DIR = flags.DEFINE_string(
  "export_dir", None, "Folder of the exported versions (default: saved_models/heavy_ranker)."
)


@preemption.handled()
def _main() -> None:
  path = command_line.config_path()
  config = load_config(path, command_line.overrides())
  has_default_inputs = command_line.is_default_config() and (
    config.train_data.inputs == load_config(path).train_data.inputs
  )
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.full_run import train_evaluate_export

  train_evaluate_export(config, _FRESH.value, _EXPORT_DIR.value, has_default_inputs)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains a ranker, measures it on every partition of validation_data, and exports it.

A run that was interrupted resumes where it stopped: repeat the command. SIGTERM makes it finish its
step, write a checkpoint and end with exit code 10. With the default configuration, random data is
written first if there is none.

  ./bazelw run //heavy_ranker:train
  ./bazelw run //heavy_ranker:train -- --config_path=configs/demo.yaml
""",
  )
