"""Command: scores files of records with an export or a checkpoint."""

from absl import flags

from heavy_ranker.config import load_config
from heavy_ranker.training.cluster.alone import require_alone
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_EXPORT_DIR = flags.DEFINE_string(
  "export_dir",
  None,
  "The export: a version's folder, or the folder of the versions, of which the newest is taken "
  "(default: saved_models/heavy_ranker).",
)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", None, "A checkpoint instead of an export; --config_path belongs to it."
)
_INPUTS = flags.DEFINE_string(
  "inputs", None, "Glob of the files of records (default: those of --partition)."
)
_PARTITION = flags.DEFINE_string(
  "partition", None, "Partition of validation_data whose files to score (default: the first)."
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "scores", "Folder of the scores.")
_FORMAT = flags.DEFINE_enum("format", "parquet", ["parquet", "tfrecord"], "Format of the scores.")
_IDS = flags.DEFINE_list(
  "ids",
  None,
  "Features to copy beside the scores, one integer or string each (default: those whose name "
  "begins with meta.; empty: none).",
)
_BATCH_SIZE = flags.DEFINE_integer(
  "batch_size", 256, "Records scored at a time.", lower_bound=1, upper_bound=1 << 20
)
_FRESH = flags.DEFINE_bool(
  "fresh", False, "Begin anew; what the folder holds is moved aside, not deleted."
)


def _main() -> None:
  require_alone("score")
  if _CHECKPOINT.value is not None and _EXPORT_DIR.value is not None:
    raise ConfigError("--checkpoint: found one beside --export_dir, allowed: one of the two")
  if _PARTITION.value is not None and _INPUTS.value is not None:
    raise ConfigError("--partition: found one beside --inputs, allowed: one of the two")
  needs_config = _CHECKPOINT.value is not None or _INPUTS.value is None
  if not needs_config and (not command_line.is_default_config() or command_line.overrides()):
    raise ConfigError(
      "--config_path, --set: found one, allowed: none beside an export and --inputs, which say "
      "everything"
    )
  config = None
  if needs_config:
    config = load_config(command_line.config_path(), command_line.overrides())
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.serving.export_files import default_export_dir
  from heavy_ranker.serving.offline_scoring import example_scorer, scoring_run, summary

  if _INPUTS.value is not None:
    inputs = scoring_run.inputs_of_glob(_INPUTS.value)
  else:
    inputs = scoring_run.inputs_of_partition(config, _PARTITION.value)
  if _CHECKPOINT.value is not None:
    model = example_scorer.checkpoint_model(config, _CHECKPOINT.value)
  else:
    model = example_scorer.exported_model(_EXPORT_DIR.value or default_export_dir())
  result = scoring_run.score_records(
    model,
    inputs,
    _OUTPUT_DIR.value,
    _FORMAT.value,
    _IDS.value,
    _BATCH_SIZE.value,
    _FRESH.value,
  )
  print(summary.describe(result, _FORMAT.value))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Scores files of records, one file of scores each: ids, score and a probability a task.

An interrupted run goes on where it stopped: repeat the command.

  ./bazelw run //heavy_ranker:score -- --inputs='records/*.gz' --output_dir=scores
  ./bazelw run //heavy_ranker:score -- --checkpoint=run/checkpoints/step-10 --config_path=run.yaml
""",
  )
