"""The machines that train together, as the rest of the program sees them; mostly there is one."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, Optional

import tensorflow as tf

from heavy_ranker import preemption
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config.workers import WorkersConfig
from heavy_ranker.training.cluster.introduction import introduce
from heavy_ranker.training.cluster.member import Member
from heavy_ranker.training.cluster.rendezvous import meet
from heavy_ranker.training.cluster.tf_config import TF_CONFIG, Membership, read_membership
from heavy_ranker.training.cluster.watchdog import Watchdog
from tfrecords.errors import ClusterError, reason
from tfrecords.worker_share import WHOLE, WorkerShare

# What TensorFlow's servers may end with when a worker is gone.
_PERHAPS_OF_OTHERS = (
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
  tf.errors.FailedPreconditionError,
  tf.errors.InternalError,
  tf.errors.UnknownError,
)
_ABORTED = "Collective ops is aborted"
_SECONDS_TO_NAME_IT = 5.0


class Cluster:
  """This machine alone: nobody to wait for. `Workers` is the same for several.

  Attributes:
    count: how many machines there are.
    index: this one's number.
    is_chief: whether it writes checkpoints, logs and exports.
    share: what it reads of the training data.
    strategy: over all machines; None lets the trainer make one for this machine.
  """

  count: int = 1
  index: int = 0
  is_chief: bool = True
  share: WorkerShare = WHOLE
  strategy: Optional[tf.distribute.Strategy] = None

  def gather(self, what: str, value: Any = None) -> list[Any]:
    """Waits until all workers are here; returns what each brought (plain data), chief first.

    Args:
      what: where they wait, the same for all.
      value: what this one brings.

    Raises:
      ClusterError: another worker is lost.
    """
    del what
    return [value]

  def require_same(self, what: str, value: Any, way_out: str) -> None:
    """Makes sure that all workers see the same.

    Args:
      what: what is compared, as a message names it.
      value: what this worker sees, plain data.
      way_out: the end of the message.

    Raises:
      ClusterError: they do not; or another worker is lost.
    """

  def explained(self) -> contextlib.AbstractContextManager:
    """Returns a context in which TensorFlow's errors about other workers become ClusterErrors."""
    return contextlib.nullcontext()

  def may_begin(self, step: int) -> bool:
    """Tells whether to make a step; not after SIGTERM, to any worker, for all alike."""
    del step
    return not preemption.requested()

  def is_stopping(self) -> bool:
    """Tells whether SIGTERM has come to any worker, as far as this one knows."""
    return preemption.requested()


ALONE = Cluster()


class Workers(Cluster):
  """Several machines that train one model.

  Args:
    membership: who they are.
    member: what they talk through.
    strategy: made when all were there.
    run_id: the same for all, and of this start only.
  """

  def __init__(
    self, membership: Membership, member: Member, strategy: tf.distribute.Strategy, run_id: str
  ):
    self.count, self.index = membership.count, membership.index
    self.is_chief, self.strategy = membership.is_chief, strategy
    self.share = WorkerShare(self.index, self.count, f"training-{run_id}")
    self._membership, self._member = membership, member

  def gather(self, what: str, value: Any = None) -> list[Any]:
    """See Cluster."""
    return self._member.gather(what, value, self._pass_on_stop)

  def require_same(self, what: str, value: Any, way_out: str) -> None:
    """See Cluster."""
    values = self.gather(what, value)
    for index, found in enumerate(values):
      if found != values[0]:
        raise ClusterError(
          f"{what}: {self._membership.describe(index)} finds {found!r}, the chief {values[0]!r}, "
          f"allowed: the same on all workers. {way_out}"
        )

  def explained(self) -> contextlib.AbstractContextManager:
    """See Cluster."""
    return _explained(self._member)

  def may_begin(self, step: int) -> bool:
    """See Cluster."""
    self._pass_on_stop()
    return self._member.may_begin(step)

  def is_stopping(self) -> bool:
    """See Cluster."""
    return preemption.requested() or self._member.is_stop_requested

  def _pass_on_stop(self) -> None:
    if preemption.requested():
      self._member.request_stop()


@contextlib.contextmanager
def joined(config: HeavyRankerConfig, **flags: Any) -> Iterator[Cluster]:
  """A context in which this process is one of the workers that TF_CONFIG names, if it names any.

  TensorFlow must not have run anything before. All workers leave the context together.

  Args:
    config: the whole configuration; it has to be the same for all workers.
    **flags: what else has to be.

  Raises:
    ConfigError: TF_CONFIG or a port cannot be used, or the workers do not divide the global batch.
    ClusterError: a worker does not come, differs, or is lost within the context.
  """
  membership = read_membership()
  if membership is None or membership.count == 1:
    # TensorFlow's strategy for one machine reads it, too, and takes an empty one for damaged.
    os.environ.pop(TF_CONFIG, None)
    yield ALONE
    return
  section = config.training.workers
  WorkerShare(0, membership.count).of_batch(config.train_data.global_batch_size, "train_data")
  print(
    f"{membership.describe(membership.index)} waits for {membership.count - 1} other worker(s)",
    flush=True,
  )
  num_gpus = len(tf.config.list_physical_devices("GPU"))
  introduction = introduce(membership, config, flags, num_gpus)
  meeting = meet(membership, introduction, section.start_timeout_in_s)
  member = Member(membership, meeting, section.lost_after_in_s)
  watchdog = Watchdog(member)
  try:
    with _explained(member):
      strategy = _make_strategy(section)
      yield Workers(membership, member, strategy, meeting.run_id)
      member.gather("the end")
  except BaseException as error:
    watchdog.stop()
    member.leave(f"{type(error).__name__}: {error}")
    raise
  watchdog.stop()
  member.leave()


def _make_strategy(section: WorkersConfig) -> tf.distribute.MultiWorkerMirroredStrategy:
  """Starts TensorFlow's servers; waits until those of all workers have started."""
  options = tf.distribute.experimental.CommunicationOptions(
    bytes_per_pack=section.megabytes_per_pack << 20,
    implementation=tf.distribute.experimental.CommunicationImplementation[section.collectives],
  )
  strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
  if threading.current_thread() is threading.main_thread():
    # TensorFlow's coordination service has put a handler of its own over Python's.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
  return strategy


@contextlib.contextmanager
def _explained(member: Member) -> Iterator[None]:
  try:
    yield
  except tf.errors.OpError as error:
    # A worker whose data is damaged has all others end with its own error.
    is_of_others = isinstance(error, tf.errors.UnavailableError) or _ABORTED in str(error)
    if not is_of_others and not isinstance(error, _PERHAPS_OF_OTHERS):
      raise
    failure = member.wait_for_failure(_SECONDS_TO_NAME_IT)
    if failure is None and not is_of_others:
      raise
    raise ClusterError(
      failure
      or f"the connection to the other workers broke: {reason(error)}. Start all workers again: "
      "they resume from the last checkpoint"
    ) from None
