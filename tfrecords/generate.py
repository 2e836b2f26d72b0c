"""Command: writes random or planted records."""

from absl import flags

from tfrecords import command_line
from tfrecords.config.data import load_data_config

flags.adopt_module_key_flags(command_line)
_N_EXAMPLES = flags.DEFINE_integer("n_examples", 2048, "Number of examples over all shards.")
_NUM_SHARDS = flags.DEFINE_integer("num_shards", 4, "Number of files.")
_KIND = flags.DEFINE_enum(
  "kind",
  "random",
  ["random", "planted"],
  "random: any values of the right dtypes. planted: labels that follow a known teacher, for a "
  "model to learn.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the examples: same flags, same bytes.")
_TEACHER_SEED = flags.DEFINE_integer(
  "teacher_seed", 0, "Seed of the teacher of planted data; training and validation share it."
)
_WRITE_PROBABILITIES = flags.DEFINE_bool(
  "write_probabilities",
  False,
  "Planted records also carry the teacher's probabilities, as planted.probability.TASK.",
)
_OUTPUT = flags.DEFINE_string(
  "output",
  None,
  "Where to write: a file name with one * (quote it) or a folder (default: where train_data.inputs "
  "of the configuration looks).",
)
_PARTITION = flags.DEFINE_string(
  "partition", None, "Write where the inputs of this partition of validation_data look instead."
)
_COMPRESSION = flags.DEFINE_enum(
  "compression", None, ["gzip", "none"], "Default: gzip for names that end in .gz, else none."
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Remove files that already match, after the new ones are complete."
)


def _main() -> None:
  partition = _PARTITION.value or ""
  config = load_data_config(command_line.config_path(), command_line.overrides(), partition)
  key = f"validation_data.{partition}" if partition else "train_data"
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from tfrecords.generation_report import describe
  from tfrecords.generator import generate

  generated = generate(
    config,
    n_examples=_N_EXAMPLES.value,
    num_shards=_NUM_SHARDS.value,
    kind=_KIND.value,
    seed=_SEED.value,
    teacher_seed=_TEACHER_SEED.value,
    write_probabilities=_WRITE_PROBABILITIES.value,
    output=_OUTPUT.value,
    compression=_COMPRESSION.value,
    overwrite=_OVERWRITE.value,
    key=key,
  )
  inputs = {f"{key}.inputs": generated.pattern} if _OUTPUT.value is not None else {}
  print(describe(generated, command_line.repeated_flags(inputs)))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Writes random or planted records in shards, where the configuration looks for them.

The same flags give the same bytes.

  ./bazelw run //tfrecords:generate
  ./bazelw run //tfrecords:generate -- --config_path=configs/demo.yaml --kind=planted
""",
  )
