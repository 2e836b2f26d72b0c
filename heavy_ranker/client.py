"""Command: scores a file of records, or a request, on a server."""

from absl import flags

from tfrecords import command_line
from tfrecords.errors import ConfigError

_SERVER = flags.DEFINE_string(
  "server", None, "host:port (default: 127.0.0.1:8500 for grpc, 127.0.0.1:8501 for rest)."
)
_API = flags.DEFINE_enum("api", "grpc", ["grpc", "rest"], "The API to speak.")
_MODEL_NAME = flags.DEFINE_string("model_name", "heavy_ranker", "The model's name on the server.")
_VERSION = flags.DEFINE_integer(
  "version", None, "The model's version (default: the newest).", lower_bound=0
)
_LABEL = flags.DEFINE_string("label", None, "A version's label, such as canary, instead.")
_SIGNATURE = flags.DEFINE_string(
  "signature",
  None,
  "The signature (default: score_examples for records, for a request the one it names).",
)
_INPUT_PATH = flags.DEFINE_string(
  "input_path",
  None,
  "A file of records, a glob of such files, or a request of the REST API in a file named *.json.",
)
_IDS = flags.DEFINE_list(
  "ids",
  None,
  "Features of the records to show, one integer or string each (default: those whose name begins "
  "with meta.; empty: none).",
)
_EXAMPLES_A_REQUEST = flags.DEFINE_integer(
  "examples_a_request", 256, "Records a request.", lower_bound=1
)
_TIMEOUT_SECONDS = flags.DEFINE_float(
  "timeout_seconds", 30.0, "How long a request may take.", lower_bound=0.001
)
_K = flags.DEFINE_integer("k", 10, "How many of the best to show.", lower_bound=0)
_OUTPUT_PATH = flags.DEFINE_string(
  "output_path", None, "Also write all of them there, as JSON, the best first."
)


def _main() -> None:
  if not command_line.is_default_config() or command_line.overrides():
    raise ConfigError("--config_path, --set: found one, allowed: none; the server has the model")
  if _VERSION.value is not None and _LABEL.value is not None:
    raise ConfigError("--label: found one beside --version, allowed: one of the two")
  if _INPUT_PATH.value is None:
    raise ConfigError("--input_path: found none, allowed: a file of records, or a request (*.json)")
  # After the flags are checked: a mistake in them shows before TensorFlow is loaded.
  from heavy_ranker.serving.client import Client
  from heavy_ranker.serving.json_output import prepare, write
  from heavy_ranker.serving.scored_file import score_file

  output = prepare(_OUTPUT_PATH.value) if _OUTPUT_PATH.value is not None else None
  with Client(
    _SERVER.value,
    _API.value,
    _MODEL_NAME.value,
    _VERSION.value,
    _LABEL.value,
    timeout_seconds=_TIMEOUT_SECONDS.value,
    examples_a_request=_EXAMPLES_A_REQUEST.value,
  ) as client:
    ranking = score_file(
      client, _INPUT_PATH.value, _SIGNATURE.value, _IDS.value, _EXAMPLES_A_REQUEST.value
    )
  print(ranking.table(_K.value))
  print(f"\n{min(_K.value, len(ranking.order))} of {len(ranking.order)} candidates")
  if output is not None:
    write(output, ranking.as_data())
    print(f"all of them: {output}")


if __name__ == "__main__":
  command_line.run(
    _main,
    """Scores a file on a server that speaks TensorFlow Serving's APIs, and prints the best.

  ./bazelw run //heavy_ranker:client -- --input_path='records/part-0.gz'
  ./bazelw run //heavy_ranker:client -- --api=rest --server=127.0.0.1:8501 --input_path=request.json
""",
  )
