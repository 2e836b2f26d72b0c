"""A file on one of TensorFlow's file systems, as Python's own files are, for other libraries."""

import io

import tensorflow as tf

from tfrecords.errors import reason

_BUFFER_BYTES = 4 << 20


class RemoteFile(io.RawIOBase):
  """Reads a remote file; see `open_remote`.

  Args:
    path: where it lies.
  """

  def __init__(self, path: str):
    super().__init__()
    self._file = tf.io.gfile.GFile(path, "rb")
    try:
      self.n_bytes = self._file.size()
    except tf.errors.OpError as error:
      raise OSError(reason(error)) from None
    self._position = 0

  def readable(self) -> bool:
    """Tells that it can be read."""
    return True

  def seekable(self) -> bool:
    """Tells that it can be read from anywhere."""
    return True

  def tell(self) -> int:
    """Returns where the next byte comes from."""
    return self._position

  def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
    """Goes to another place and returns it."""
    origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.n_bytes}[whence]
    self._position = origin + offset
    return self._position

  def readinto(self, buffer: memoryview) -> int:
    """Fills a buffer as far as there are bytes, and returns how many."""
    size = max(0, min(len(buffer), self.n_bytes - self._position))
    if not size:
      return 0
    try:
      self._file.seek(self._position)
      data = self._file.read(size)
    except tf.errors.OpError as error:
      raise OSError(reason(error)) from None
    buffer[: len(data)] = data
    self._position += len(data)
    return len(data)

  def close(self) -> None:
    """Closes the file."""
    if not self.closed:
      self._file.close()
    super().close()


def open_remote(path: str) -> io.BufferedReader:
  """Opens a remote file for reading.

  Raises:
    OSError: it cannot be read.
  """
  return io.BufferedReader(RemoteFile(path), _BUFFER_BYTES)
