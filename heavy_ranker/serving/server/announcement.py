"""What a server says when it is up: where it listens, what it serves, what to try."""

from heavy_ranker.serving.server.server import Server
from heavy_ranker.serving.server.settings import ServerSettings

# The signature of heavy_ranker.serving.signatures, whose import would load Keras, too.
_EXAMPLES = "score_examples"


def announce(server: Server, settings: ServerSettings) -> str:
  """Returns lines for the terminal.

  Args:
    server: one that has started.
    settings: its own.
  """
  lines = [_describe(server, name) for name in server.manager.names()]
  host = f"[{settings.host}]" if ":" in settings.host else settings.host
  if server.grpc_port:
    lines.append(f"gRPC: {host}:{server.grpc_port}")
  if server.rest_port:
    address = f"http://{host}:{server.rest_port}"
    lines.append(f"REST: {address}/v1/models")
    if settings.metrics_path is not None:
      lines.append(f"metrics: {address}{settings.metrics_path}")
    lines.append(f"try: {_example(server, address)}")
  lines.append("stop with Ctrl-C or SIGTERM: requests under way are answered first")
  return "\n".join(lines)


def _describe(server: Server, name: str) -> str:
  with server.manager.resolve(name) as newest:
    signatures = ", ".join(sorted(newest.signatures))
  versions = [
    str(status.version)
    for status in server.manager.status(name)
    if status.state.name == "AVAILABLE"
  ]
  plural = "s" if len(versions) > 1 else ""
  return f"serving {name} version{plural} {', '.join(versions)} (signatures: {signatures})"


def _example(server: Server, address: str) -> str:
  name = server.manager.names()[0]
  with server.manager.resolve(name) as newest:
    takes_examples = _EXAMPLES in newest.signatures
  if not takes_examples:
    return f"curl {address}/v1/models/{name}/metadata"
  # An Example without features, which all read as 0.
  body = f'{{"signature_name": "{_EXAMPLES}", "instances": [{{"b64": ""}}]}}'
  return f"curl -d '{body}' {address}/v1/models/{name}:predict"
