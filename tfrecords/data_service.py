"""Command: runs the dispatcher or a worker of a tf.data service."""

from absl import flags

from tfrecords import command_line
from tfrecords.errors import ConfigError

flags.adopt_module_key_flags(command_line)
_ROLE = flags.DEFINE_enum(
  "role", None, ["dispatcher", "worker"], "What this process is: one dispatcher, any workers."
)
_PORT = flags.DEFINE_integer(
  "port", None, "Where it listens (default: 5050; any free one for a worker).", 0, 65535
)
_DISPATCHER = flags.DEFINE_string("dispatcher", None, "For a worker: HOST:PORT of the dispatcher.")
_WORKER_ADDRESS = flags.DEFINE_string(
  "worker_address",
  None,
  "For a worker: HOST:PORT at which training reaches it, %port% for its port (default: "
  "localhost:%port%, which only this machine can use).",
)
_WORK_DIR = flags.DEFINE_string(
  "work_dir", None, "For the dispatcher: the folder of its journal, on any file system."
)
_FAULT_TOLERANT_MODE = flags.DEFINE_bool(
  "fault_tolerant_mode",
  None,
  "For the dispatcher: keep a journal in --work_dir, and carry on after a restart with the same "
  "--work_dir and --port (default: whether --work_dir is given).",
)


def _main() -> None:
  if not command_line.is_default_config() or command_line.overrides():
    raise ConfigError("--config_path, --set: found one, allowed: none; training says what to read")
  is_dispatcher = _ROLE.value == "dispatcher"
  if _ROLE.value is None:
    raise ConfigError("--role: found nothing, allowed: dispatcher or worker")
  others = (
    {"dispatcher": _DISPATCHER, "worker_address": _WORKER_ADDRESS}
    if is_dispatcher
    else {"work_dir": _WORK_DIR, "fault_tolerant_mode": _FAULT_TOLERANT_MODE}
  )
  for name, flag in others.items():
    if flag.value is not None:
      raise ConfigError(f"--{name}: found {flag.value!r}, allowed: nothing for a {_ROLE.value}")
  if not is_dispatcher and _DISPATCHER.value is None:
    raise ConfigError("--dispatcher: found nothing, allowed: HOST:PORT of the dispatcher")
  # After the flags are checked: a mistake in them shows before TensorFlow is loaded.
  from tfrecords import data_service_server as server

  if is_dispatcher:
    port = server.DEFAULT_PORT if _PORT.value is None else _PORT.value
    journal = _FAULT_TOLERANT_MODE.value
    journal = _WORK_DIR.value is not None if journal is None else journal
    with server.dispatcher(port, _WORK_DIR.value, journal) as address:
      kept = f", journal in {_WORK_DIR.value}" if journal else ", no journal"
      print(f"dispatcher ready at {address}{kept}", flush=True)
      server.wait_for_end()
    return
  with server.worker(_DISPATCHER.value, _PORT.value or 0, _WORKER_ADDRESS.value):
    print(f"worker ready for {_DISPATCHER.value}", flush=True)
    server.wait_for_end()


if __name__ == "__main__":
  command_line.run(
    _main,
    """Runs a part of a tf.data service, which reads, parses and batches records on other machines.

A configuration uses it with train_data.data_service_dispatcher=grpc://HOST:PORT. It ends with
SIGTERM or Ctrl-C.

  ./bazelw run //tfrecords:data_service -- --role=dispatcher --work_dir=/tmp/journal
  ./bazelw run //tfrecords:data_service -- --role=worker --dispatcher=localhost:5050
""",
  )
