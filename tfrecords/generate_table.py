"""Command: writes a made-up table for `//tfrecords:ingest` to read."""

from absl import flags

from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_KIND = flags.DEFINE_enum(
  "kind",
  "feed",
  ["feed", "recsys_challenge", "recsys_challenge_unlabelled", "kuairand"],
  "feed: CSV, for configs/mappings/feed.yaml. recsys_challenge: the RecSys Challenge's format; "
  "unlabelled as the validation files of 2020. kuairand: Parquet.",
)
_ROWS = flags.DEFINE_integer("rows", 20000, "Number of rows.")
_SEED = flags.DEFINE_integer("seed", 0, "Same flags, same bytes.")
_OUTPUT = flags.DEFINE_string("output", None, "The file; one that ends in .gz is compressed.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the file if it is there.")


def _main() -> None:
  if _OUTPUT.value is None:
    raise ConfigError("--output: found none, allowed: --output=FILE (see --help)")
  from tfrecords.sample_tables.writer import write_sample

  path = write_sample(_KIND.value, _ROWS.value, _SEED.value, _OUTPUT.value, _OVERWRITE.value)
  print(f"{_ROWS.value:,} rows: {path}")


if __name__ == "__main__":
  command_line.run(
    _main,
    """Writes a made-up table whose labels can be learned, to try things with.

  ./bazelw run //tfrecords:generate_table -- --kind=feed --output=feed.csv
""",
  )
