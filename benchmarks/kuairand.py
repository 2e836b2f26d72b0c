"""Command: trains configs/kuairand.yaml with several seeds, and without one ingredient each."""

from absl import flags

from benchmarks.ablations import variants
from tfrecords import command_line, paths
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_DATA_DIR = flags.DEFINE_string(
  "data_dir",
  "${HOME}/tmp/kuairand",
  "The folder that //tfrecords:ingest wrote with configs/mappings/kuairand.yaml.",
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "How many runs of each.", lower_bound=1)
_ABLATIONS = flags.DEFINE_bool("ablations", False, "Also train it without each ingredient.")
_TASKS = flags.DEFINE_list("tasks", None, "The tasks to show (default: all of the model's).")
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write all metrics there, as JSON.")
_FRESH = flags.DEFINE_bool(
  "fresh", False, "Train all of them again; earlier runs are moved aside, not deleted."
)
_CONFIG = "configs/kuairand.yaml"


def _main() -> None:
  path = command_line.config_path()
  if command_line.is_default_config():
    path = paths.resolve(f"{paths.package_root()}/{_CONFIG}", "--config_path")
  found = variants(path, _DATA_DIR.value, _SEEDS.value, command_line.overrides(), _ABLATIONS.value)
  known = list(next(iter(found.values()))[0].config.model.tasks)
  for task in _TASKS.value or ():
    if task not in known:
      raise ConfigError(f"--tasks: found {task!r}, allowed: {', '.join(known)}")
  # After the configurations are checked: a mistake in one shows before TensorFlow is loaded.
  from benchmarks.variant_runs import run_variants

  run_variants(found, _TASKS.value or known, _OUTPUT_PATH.value, _FRESH.value)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains the ranker for KuaiRand with several seeds, measures it on `validation`, and prints a
Markdown table: the mean over the seeds, and in brackets their standard deviation.

What is trained already is not trained again: repeat the command after an interruption.

  ./bazelw run //benchmarks:kuairand -- --data_dir=${HOME}/tmp/kuairand
  ./bazelw run //benchmarks:kuairand -- --ablations --output_path=ablations.json
""",
  )
