"""Command: measures how fast batches come from records and from packed ones."""

import json
import os
import tempfile

from absl import flags

from heavy_ranker.config import load_config
from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_EXAMPLES = flags.DEFINE_integer("examples", 8192, "Examples to write.", lower_bound=1)
_NUM_SHARDS = flags.DEFINE_integer("num_shards", 8, "Files to write.", lower_bound=1)
_KIND = flags.DEFINE_enum("kind", "planted", ["planted", "random"], "Which records.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each way of reading.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 3.0, "Seconds a turn.", lower_bound=0.01)
_FOLDER = flags.DEFINE_string(
  "folder", None, "Where a temporary folder for the records is made (default: the system's)."
)


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  if _FOLDER.value is not None and not os.path.isdir(_FOLDER.value):
    raise ConfigError(f"--folder: found {_FOLDER.value!r}, allowed: a folder that exists")
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks.reading import Bounds, ReadingBenchmark

  bounds = Bounds(
    examples=_EXAMPLES.value,
    num_shards=_NUM_SHARDS.value,
    kind=_KIND.value,
    rounds=_ROUNDS.value,
    seconds=_SECONDS.value,
  )
  with tempfile.TemporaryDirectory(prefix="benchmark-input-", dir=_FOLDER.value) as folder:
    print(json.dumps(ReadingBenchmark(config, folder, bounds).run(), indent=2))


if __name__ == "__main__":
  command_line.run(
    _main,
    """Reads the same features into the same batches in all ways, in turn: gzip, raw and packed.

Prints one JSON object: examples a second, bytes and processor time an example, the ratios, and how
fast this machine reads and decompresses at all. Records are written to a temporary folder first.

  ./bazelw run //benchmarks:input
  ./bazelw run //benchmarks:input -- --kind=random --examples=20000
""",
  )
