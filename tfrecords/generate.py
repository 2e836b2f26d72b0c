"""Writes random or planted records in shards; see --help."""

import os
import shlex

from absl import flags

from tfrecords import command_line, paths
from tfrecords.config.data import load_data_config
from tfrecords.generator import COMPRESSIONS, KINDS, Generated, generate

TRAIN = "./bazelw run //heavy_ranker:train"

flags.adopt_module_key_flags(command_line)
_N_EXAMPLES = flags.DEFINE_integer("n_examples", 2048, "Number of examples over all shards.")
_NUM_SHARDS = flags.DEFINE_integer("num_shards", 4, "Number of files.")
_KIND = flags.DEFINE_enum(
  "kind",
  "random",
  list(KINDS),
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
  "compression", None, list(COMPRESSIONS), "Default: gzip for names that end in .gz, else none."
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Remove files that already match, after the new ones are complete."
)


def main() -> None:
  """Generates what the flags say and prints what came out."""
  partition = _PARTITION.value or ""
  config = load_data_config(command_line.config_path(), command_line.overrides(), partition)
  key = f"validation_data.{partition}" if partition else "train_data"
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
  print(summary(generated, next_command(generated.pattern, key)))


def summary(generated: Generated, command: str) -> str:
  """Returns what was generated, for people.

  Args:
    generated: what there is now.
    command: the next command to try.
  """
  width = max(map(len, generated.positive_rates))
  rates = [f"  {task:{width}} {rate:8.3%}" for task, rate in generated.positive_rates.items()]
  return "\n".join(
    [
      f"{generated.n_examples:,} examples in {len(generated.shards)} shard(s), "
      f"{generated.n_bytes:,} bytes: {generated.pattern}",
      "positive labels:",
      *rates,
      "next, try:",
      f"  {command}",
    ]
  )


def next_command(pattern: str, key: str) -> str:
  """Returns the command that trains with the files just written."""
  arguments = []
  if not command_line.is_default_config():
    path = os.path.relpath(command_line.config_path(), paths.caller_directory())
    arguments.append(f"--config_path={shlex.quote(path)}")
  overrides = list(command_line.overrides())
  if _OUTPUT.value is not None:
    overrides.append(f"{key}.inputs={pattern}")
  arguments += [f"--set {shlex.quote(override)}" for override in overrides]
  return " ".join([TRAIN, "--", *arguments] if arguments else [TRAIN])


if __name__ == "__main__":
  command_line.run(main, "Writes random or planted records in shards of TFRecord files.")
