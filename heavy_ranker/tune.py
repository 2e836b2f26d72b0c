"""Command: searches for the values of configuration keys that train the best ranker."""

from absl import flags

from heavy_ranker import preemption
from heavy_ranker.training.cluster.alone import require_alone
from heavy_ranker.tuning.search_space import load_search_space
from heavy_ranker.tuning.trial_config import check_space
from tfrecords import command_line, paths
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_SPACE = flags.DEFINE_string(
  "space", None, "The search space, a YAML file such as configs/search/demo.yaml."
)
_OUTPUT_DIR = flags.DEFINE_string(
  "output_dir", None, "Folder of the search (default: training.save_dir with _search behind it)."
)
_N_TRIALS = flags.DEFINE_integer(
  "n_trials", None, "How many trials in all, finished ones included (default: the space's)."
)
_KEEP_TRIALS = flags.DEFINE_bool(
  "keep_trials", False, "Leave checkpoints, logs and evaluations of finished trials."
)


@preemption.handled()
def _main() -> None:
  require_alone("tune")
  if _SPACE.value is None:
    raise ConfigError("--space: found nothing, allowed: a file such as configs/search/demo.yaml")
  if _N_TRIALS.value is not None and _N_TRIALS.value < 1:
    raise ConfigError(f"--n_trials: found {_N_TRIALS.value}, allowed: at least 1")
  space_path = paths.resolve(_SPACE.value, "--space")
  space = load_search_space(space_path)
  config_path, overrides = command_line.config_path(), command_line.overrides()
  base = check_space(space, space_path, config_path, overrides)
  default_dir = f"{base.training.save_dir}_search"
  output_dir = default_dir if _OUTPUT_DIR.value is None else _OUTPUT_DIR.value
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from heavy_ranker.tuning.full_search import search_and_report

  search_and_report(
    config_path,
    overrides,
    base,
    space,
    _N_TRIALS.value or space.n_trials,
    output_dir,
    _KEEP_TRIALS.value,
  )


if __name__ == "__main__":
  command_line.run(
    _main,
    """Searches for the values of configuration keys that train the best ranker (docs/tuning.md).

A search that was interrupted goes on where it stopped: repeat the command. SIGTERM and Ctrl-C end
it with exit codes 10 and 130; the trial under way goes on, too.

  ./bazelw run //heavy_ranker:tune -- --config_path=configs/demo.yaml \\
      --space=configs/search/demo.yaml
""",
  )
