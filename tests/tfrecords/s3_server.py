"""An S3 API on this machine, and a line to it that breaks."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Optional

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
_HOST = "127.0.0.1"


class S3Server:
  """What runs between `start` and `stop`.

  Attributes:
    port: where it listens.
    client: a boto3 client of it.
  """

  def __init__(self):
    self._server = ThreadedMotoServer(_HOST, 0, verbose=False)
    self._server.start()
    _, self.port = self._server.get_host_and_port()
    self.client = boto3.client(
      "s3",
      endpoint_url=f"http://{_HOST}:{self.port}",
      region_name="us-east-1",
      aws_access_key_id="any",
      aws_secret_access_key="any",
    )
    self.client.create_bucket(Bucket=BUCKET)

  def upload(self, folder: str, prefix: str = "", acl: str = "public-read") -> None:
    """Copies the files of a folder and below; HTTP without credentials sees what is public."""
    for where, _, names in os.walk(folder):
      for name in names:
        path = os.path.join(where, name)
        name = prefix + os.path.relpath(path, folder)
        self.client.upload_file(path, BUCKET, name, ExtraArgs={"ACL": acl})

  def names(self, prefix: str = "") -> list[str]:
    """Returns the names of the objects."""
    found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]

  def environment(self, port: Optional[int] = None) -> dict[str, str]:
    """Returns the variables by which a process finds it."""
    return {
      "S3_ENDPOINT": f"http://{_HOST}:{port or self.port}",
      "S3_USE_HTTPS": "0",
      "S3_VERIFY_SSL": "0",
      "AWS_ACCESS_KEY_ID": "any",
      "AWS_SECRET_ACCESS_KEY": "any",
      "AWS_REGION": "us-east-1",
      "AWS_EC2_METADATA_DISABLED": "true",
    }

  def stop(self) -> None:
    """Ends it."""
    self._server.stop()


@contextlib.contextmanager
def breaking_line(port: int, wanted: Sequence[bytes], times: int) -> Iterator[tuple[int, list]]:
  """A port that passes everything on to another one, but some answers only in part.

  Args:
    port: where the server listens.
    wanted: what a request has to hold, all of it, for its answer to break.
    times: how many answers break.

  Yields:
    The port, and a list that gets an entry an answer that broke.
  """
  broken: list[bytes] = []
  listener = socket.create_server((_HOST, 0))
  threading.Thread(
    target=_accept, args=(listener, port, tuple(wanted), times, broken), daemon=True
  ).start()
  try:
    yield listener.getsockname()[1], broken
  finally:
    listener.close()


def _accept(listener, port, wanted, times, broken) -> None:
  while True:
    try:
      line, _ = listener.accept()
    except OSError:
      return
    threading.Thread(target=_pass_on, args=(line, port, wanted, times, broken), daemon=True).start()


def _pass_on(line, port, wanted, times, broken) -> None:
  """Passes one request on and its answer back; then the connection ends, as HTTP allows."""
  with line, socket.create_connection((_HOST, port)) as server:
    request = _read_request(line)
    if not request:
      return
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [part for part in head.split(b"\r\n") if not part.lower().startswith(b"connection:")]
    server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
    answer = b"".join(iter(lambda: server.recv(65536), b""))
    if len(broken) < times and all(part in request for part in wanted):
      broken.append(request)
      start = answer.index(b"\r\n\r\n") + 4
      answer = answer[: start + (len(answer) - start) // 2]
    with contextlib.suppress(OSError):
      line.sendall(answer)


def _read_request(line) -> bytes:
  request = b""
  while b"\r\n\r\n" not in request:
    part = line.recv(65536)
    if not part:
      return b""
    request += part
  head, _, body = request.partition(b"\r\n\r\n")
  length = 0
  for field in head.split(b"\r\n"):
    if field.lower().startswith(b"content-length:"):
      length = int(field.split(b":")[1])
  if b"100-continue" in head.lower():
    line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
  while len(body) < length:
    body += line.recv(65536)
  return head + b"\r\n\r\n" + body
