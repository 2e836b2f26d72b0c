"""Command: measures scoring against the machine's floor and, if there is one, a peer."""

import json
import tempfile

from absl import flags

from benchmarks.peer import Peer
from benchmarks.sizes import sizes_of
from heavy_ranker.config import load_config
from tfrecords import command_line

flags.adopt_module_key_flags(command_line)
_SIZES = flags.DEFINE_list("sizes", ["1", "32", "128", "1500"], "Candidates a call.")
_ROUNDS = flags.DEFINE_integer(
  "rounds", 3, "How often all is measured, in turn; medians are printed.", lower_bound=1
)
_CALLS = flags.DEFINE_integer("calls", 100, "The most calls of one size a round.", lower_bound=1)
_PEER = flags.DEFINE_string(
  "peer_command",
  None,
  'A command that prints {"score": {"1": examples a second, "32": ...}} as JSON, to be run in turn '
  "with ours.",
)
_OUTPUT_PATH = flags.DEFINE_string("output_path", None, "Also write the result there, as JSON.")


def _main() -> None:
  config = load_config(command_line.config_path(), command_line.overrides())
  sizes = sizes_of(_SIZES.value)
  peer = Peer(_PEER.value) if _PEER.value is not None else None
  # After the configuration is checked: a mistake in it shows before TensorFlow is loaded.
  from benchmarks.scoring import ScoringBenchmark
  from heavy_ranker.serving import json_output

  output = json_output.prepare(_OUTPUT_PATH.value) if _OUTPUT_PATH.value is not None else None
  with tempfile.TemporaryDirectory(prefix="benchmark-score-") as folder:
    benchmark = ScoringBenchmark(config, folder, sizes, _ROUNDS.value, _CALLS.value, peer)
    result = benchmark.run()
  print(json.dumps(result, indent=2))
  if output is not None:
    json_output.write(output, result)


if __name__ == "__main__":
  command_line.run(
    _main,
    """Measures scoring: examples a second of the Keras model and of the export's signature, made of
the configuration, untrained, and the share of what the machine can do at best.

Prints one JSON object. The floor is that of the same minutes: all matrix products at the rate of a
large one, or reading all weights from memory, whichever takes longer.

  ./bazelw run //benchmarks:score
  ./bazelw run //benchmarks:score -- --sizes=1,1500 --peer_command='python peer.py'
""",
  )
