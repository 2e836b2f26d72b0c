"""Command: measures training against the machine's floor and, if there is one, a peer."""

import json
import tempfile

from absl import flags

from benchmarks.peer import Peer
from benchmarks.sizes import sizes_of
from heavy_ranker.config import load_config
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["128", "1024"], "Examples a step.")
_ROUNDS = flags.DEFINE_integer(
  "rounds", 3, "How often all is measured, in turn; medians are printed.", lower_bound=1
)
_STEPS = flags.DEFINE_integer("steps", 10, "Steps a round.", lower_bound=1)
_INPUT_STEPS = flags.DEFINE_integer(
  "input_steps",
  100,
  "Steps on records, to see how long training waits for them; 0 for none.",
  lower_bound=0,
)
_RECORDS = flags.DEFINE_integer(
  "records",
  2048,
  "Random records to write for that, gzip, to a temporary folder; 0 reads train_data as it is.",
  lower_bound=0,
)
_PEER = flags.DEFINE_string(
  "peer_command",
  None,
  'A command that takes --batch_size=N and prints {"train": {"N": examples a second}} as JSON, to '
  "be run in turn with ours.",
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  sizes = sizes_of(_BATCH_SIZES.value, "--batch_sizes")
  peer = Peer(_PEER.value) if _PEER.value is not None else None
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks.random_records import with_random_records
  from benchmarks.training import TrainingBenchmark
  from heavy_ranker.config_check import check_config
  from heavy_ranker.serving import json_output

  check_config(config, with_partitions=False)
  output = json_output.prepare(_OUTPUT_PATH.value) if _OUTPUT_PATH.value is not None else None
  with tempfile.TemporaryDirectory(prefix="benchmark-train-") as folder:
    if _INPUT_STEPS.value and _RECORDS.value:
      config = with_random_records(config, folder, _RECORDS.value)
    benchmark = TrainingBenchmark(config, sizes, _ROUNDS.value, _STEPS.value, peer)
    result = benchmark.run(_INPUT_STEPS.value)
  print(json.dumps(result, indent=2))
  if output is not None:
    json_output.write(output, result)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures training steps: examples a second on batches in memory, peak memory, the share of
what the machine can do at best, and how much of the time training waits for records.

Prints one JSON object. The floor is that of the same minutes: all matrix products at the rate of a
large one, and the optimizer's traffic at the rate of reading memory.

  ./bazelw run //benchmarks:train
  ./bazelw run //benchmarks:train -- --batch_sizes=128 --peer_command='python peer.py'
""",
  )
