"""Command: compares architectures on the same planted data."""

from absl import flags

from benchmarks.candidates import find
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_CONFIGS = flags.DEFINE_list(
  "configs",
  None,
  "Comma-separated globs of the configurations to compare (default: configs/architectures/*.yaml "
  "of this checkout).",
)
_NUM_TRAIN_STEPS = flags.DEFINE_integer(
  "num_train_steps",
  None,
  "Train each for this many steps; a cosine schedule is shrunk or stretched to them (default: what "
  "each configuration says).",
  lower_bound=1,
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write all metrics there, as JSON.")
_FRESH = flags.DEFINE_bool(
  "fresh", False, "Train all of them again; earlier runs are moved aside, not deleted."
)


def _main() -> None:
  if not command_line.is_default_config():
    raise ConfigError("--config_path: found a value, allowed: none; name files with --configs=GLOB")
  candidates = find(_CONFIGS.value, command_line.overrides(), _NUM_TRAIN_STEPS.value)
  # After the configurations are checked: a mistake in one shows before TensorFlow is loaded.
  from benchmarks.comparison import compare

  compare(candidates, _OUTPUT_PATH.value, _FRESH.value)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Trains architectures on the same planted data, one after the other, measures them, and prints
a Markdown table.

Planted data is written first if there is none. What is trained already is not trained again, so
that an interrupted comparison goes on where it stopped: repeat the command.

  ./bazelw run //benchmarks:architectures
  ./bazelw run //benchmarks:architectures -- --configs=configs/architectures/d*.yaml
""",
  )
