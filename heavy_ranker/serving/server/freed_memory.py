"""Gives what versions that are gone have used back to the machine."""

import ctypes
import gc
import os

_ARENAS = 2
# malloc.h: M_ARENA_MAX.
_ARENA_MAX = -8


def use_returning_allocators() -> None:
  """Has memory come from where it can be given back; call before TensorFlow and NumPy are loaded.

  TensorFlow with oneDNN has an allocator of its own for tensors of 256 KiB and more, which returns
  nothing: the room for a second model, needed at the first swap, stays for good, and fills up bit
  by bit. The C library returns what is free. By default it has eight arenas a core, each with parts
  of pages that stay as versions come and go; two have a third as many, and are no slower.

  Whoever sets TF_ONEDNN_USE_SYSTEM_ALLOCATOR or MALLOC_ARENA_MAX in the environment decides.
  """
  os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
  set_option = getattr(ctypes.CDLL(None), "mallopt", None)
  if set_option is not None and "MALLOC_ARENA_MAX" not in os.environ:
    set_option(_ARENA_MAX, _ARENAS)


def give_back() -> None:
  """Frees what nothing refers to any more, and returns it to the operating system.

  What is free, the C library keeps, until it is asked for it; C libraries other than glibc have
  nothing to ask. It is asked twice, since the second part takes a while: a session is gone as soon
  as it is not needed, but of its graph the parts refer to one another, so that only the garbage
  collector finds them.
  """
  _trim()
  gc.collect()
  _trim()


def _trim() -> None:
  trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
  if trim is not None:
    trim(0)
