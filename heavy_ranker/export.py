"""Command: exports a checkpoint as a versioned SavedModel."""

from absl import flags

from heavy_ranker import preemption
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
_EXPORT_DIR = flags.DEFINE_string(
  "export_dir", None, "Folder of the exported versions (default: saved_models/heavy_ranker)."
)
_VERSION = flags.DEFINE_integer(
  "version", None, "The version's number (default: one above the largest there is)."
)


@preemption.handled()
def _main() -> None:
  require_alone("export")
  config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.serving.exporter import export
  from tfrecords.command_hints import tool

  folder = export(config, _CHECKPOINT.value, _EXPORT_DIR.value, _VERSION.value)
  print(
    f"exported to {folder}\nlook at it with: {tool('saved_model_cli')} show --dir {folder} --all"
  )


if __name__ == "__main__":
  command_line.run(
    _main,
    """Exports a checkpoint as a SavedModel for tensorflow_model_server.

Other weights of the score need no training, only another export:

  ./bazelw run //heavy_ranker:export -- --set score.weights.recap.engagement.is_replied=30

Smaller, and faster on a CPU that multiplies bfloat16; ends with exit code 8, and without an export,
when that changes the scores too much (docs/configuration.md, section export):

  ./bazelw run //heavy_ranker:export -- --set export.precision=bfloat16 \\
      --set export.matmul_precision=bfloat16
""",
  )
