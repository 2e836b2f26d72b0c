"""Remote file systems by tensorflow-io: s3, http, az, hdfs; gs comes with TensorFlow itself."""

import atexit
import os
import sys
from typing import Optional

SCHEMES = frozenset({"s3", "http", "https", "az", "hdfs", "viewfs", "har"})

_in_use: set[str] = set()
_exit_code: Optional[int] = None


def register(scheme: str) -> None:
  """Makes tensorflow-io register its file systems, if the scheme is one of them.

  Args:
    scheme: of a path, without "://".
  """
  if scheme not in SCHEMES:
    return
  if scheme == "s3":
    # Downloads in parts lose bytes when a connection breaks in the middle: the second attempt
    # adds to what the first one got. Whole ranges are read again as they should be.
    os.environ.setdefault("S3_DISABLE_MULTI_PART_DOWNLOAD", "1")
  import tensorflow_io  # noqa: F401 - importing it registers the file systems.

  _in_use.add(scheme)


def can_list(path: str) -> bool:
  """Returns whether what lies beside a path can be listed; HTTP has no way to ask."""
  return not path.startswith(("http://", "https://"))


def hint(path: str) -> str:
  """Returns what else may be wrong where a path cannot be read or written; "" for local ones.

  An object store that cannot be reached or refuses looks to TensorFlow as if it was empty.
  """
  if path.startswith("s3://"):
    return (
      " (if it should be there: S3_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID and "
      "AWS_SECRET_ACCESS_KEY decide where it is looked for, and whether it may be seen)"
    )
  return " (if it should be there: see whether its server can be reached)" if "://" in path else ""


def will_exit(code: object) -> None:
  """Takes note of how the process is about to end.

  Args:
    code: what SystemExit carries: None, a number, or a message.
  """
  global _exit_code
  _exit_code = code if isinstance(code, int) else int(code is not None)


@atexit.register
def _end_before_s3_aborts() -> None:
  """Ends the process with the code it was to end with.

  Once s3:// was used, tensorflow-io 0.37 aborts while the process takes itself apart ("pure virtual
  method called"), so that every exit code would be 134. This module is imported early, and what is
  registered early runs late: nearly everything else has been cleared up by now.
  """
  if "s3" in _in_use and _exit_code is not None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_code)
