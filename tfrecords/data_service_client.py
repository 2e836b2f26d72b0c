"""`data_service_dispatcher`: batches made by the workers of a tf.data service.

See https://www.tensorflow.org/api_docs/python/tf/data/experimental/service. Files are dealt out
to the workers one by one: in evaluation each record comes once, in training (where a worker that
fails hands its files on) at least once; the order is none that could be repeated.
"""

import functools
import queue
import threading
from typing import Callable, Optional

import tensorflow as tf

from tfrecords.config.data import DataConfig
from tfrecords.errors import ConfigError, DataError, reason
from tfrecords.service_watch import unreachable

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_ANSWER = 60
# What only works in the process that has the Python objects.
_IN_PROCESS = ("ignore_data_errors", "cache")

_Transform = Callable[[tf.data.Dataset], tf.data.Dataset]


def check(config: DataConfig, key: str) -> None:
  """Refuses options that cannot work in the processes of a service.

  Args:
    config: the data section.
    key: its path in the configuration, for the messages.

  Raises:
    ConfigError: one is set together with `data_service_dispatcher`.
  """
  if config.data_service_dispatcher is None:
    return
  for option in _IN_PROCESS:
    if getattr(config, option):
      raise ConfigError(
        f"{key}.{option}: found true together with {key}.data_service_dispatcher, allowed: one of "
        f"them, because {option} works with Python code in this process only. Give up one with "
        f"--set {key}.{option}=false or --set {key}.data_service_dispatcher=null"
      )


def distribute(
  dataset: tf.data.Dataset, config: DataConfig, key: str, job: Optional[str] = None
) -> tf.data.Dataset:
  """Has a dataset made by the service.

  Args:
    dataset: without Python functions; the workers have to see its files under the same paths.
    config: the data section that names the dispatcher.
    key: its path in the configuration, for the messages.
    job: who gives the same name shares the elements; all are this process's when None.

  Returns:
    Its elements, in the order in which workers have them ready.

  Raises:
    DataError: there is no dispatcher at the address, or no worker answers.
  """
  service, where = config.data_service_dispatcher, f"{key}.data_service_dispatcher"
  _require_port(service, where)
  compression = "AUTO" if config.dataset_service_compression == "AUTO" else None
  policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
  transform = functools.partial(
    tf.data.experimental.service.distribute, policy, service, compression=compression
  )
  _require_worker(transform(), service, where)
  return dataset.apply(transform(job_name=job))


def _require_port(service: str, where: str) -> None:
  problem = unreachable(service, _SECONDS_TO_CONNECT)
  if problem is not None:
    raise DataError(
      f"{where}: nothing answers at {service} ({problem}), allowed: a running dispatcher. Start it "
      "with //tfrecords:data_service --role=dispatcher, or read in this process with --set "
      f"{where}=null"
    )


def _require_worker(transform: _Transform, service: str, where: str) -> None:
  """Has a tiny dataset made. TensorFlow would wait for a worker for ever, without a word."""
  answers: queue.Queue = queue.Queue()

  def probe() -> None:
    try:
      next(iter(tf.data.Dataset.range(1).apply(transform)))
      answers.put(None)
    except tf.errors.OpError as error:
      answers.put(reason(error))

  # Left behind if it hangs, so that the error gets out.
  threading.Thread(target=probe, daemon=True).start()
  try:
    failure = answers.get(timeout=_SECONDS_TO_ANSWER)
  except queue.Empty:
    failure = f"no answer within {_SECONDS_TO_ANSWER} seconds"
  if failure is not None:
    raise DataError(
      f"{where}: {service} makes no data ({failure}), allowed: a dispatcher of tf.data with at "
      "least one worker. Start one with //tfrecords:data_service --role=worker, or read in this "
      f"process with --set {where}=null"
    )
