"""Joins requests that wait at the same time into one run of the model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional, Union

import numpy as np

from heavy_ranker.serving.server.admission import deadline_exceeded, seconds_left
from heavy_ranker.serving.server.batching_parameters import BatchingParameters
from heavy_ranker.serving.server.request_errors import Code, RequestError

Arrays = Mapping[str, np.ndarray]
Compute = Callable[[Arrays], dict[str, np.ndarray]]


@dataclass
class _Request:
  """A request in a batch; whoever sent it waits for `done`."""

  inputs: Arrays
  size: int
  deadline: Optional[float]
  arrival: float = field(default_factory=time.monotonic)
  queue_seconds: float = 0.0
  answer: Union[dict[str, np.ndarray], Exception, None] = None
  done: threading.Event = field(default_factory=threading.Event)

  def finish(self, answer: Union[dict[str, np.ndarray], Exception]) -> None:
    self.answer = answer
    self.done.set()


@dataclass
class _Batch:
  """Requests that will run together: same queue, same sizes but for the first."""

  compute: Compute
  layout: Hashable
  due: float
  requests: list[_Request] = field(default_factory=list)

  @property
  def size(self) -> int:
    return sum(request.size for request in self.requests)


class BatchScheduler:
  """Queues of batches, one queue a signature of a version, and the threads that run them.

  A batch runs when it is full, when it has waited for its time, or when another one had to be
  begun behind it. Queues are bounded: what does not fit is refused at once.

  Args:
    parameters: sizes, times and threads.
    observe_run: called with the queue and the number of examples of each run.
  """

  def __init__(
    self,
    parameters: BatchingParameters,
    observe_run: Callable[[Hashable, int], None] = lambda queue, size: None,
  ):
    self._parameters = parameters
    self._observe_run = observe_run
    self._condition = threading.Condition()
    self._queues: dict[Hashable, deque[_Batch]] = {}
    self._stopping = False
    self._threads = [
      threading.Thread(target=self._work, name=f"batch-{index}", daemon=True)
      for index in range(parameters.num_batch_threads)
    ]
    for thread in self._threads:
      thread.start()

  def submit(
    self,
    queue: Hashable,
    compute: Compute,
    inputs: Arrays,
    size: int,
    deadline: Optional[float] = None,
  ) -> tuple[dict[str, np.ndarray], float]:
    """Runs a request together with others, and waits for it.

    Args:
      queue: requests of the same queue may be joined.
      compute: the model; the same for all requests of a queue.
      inputs: arrays whose first dimension is `size`.
      size: the number of examples.
      deadline: as time.monotonic() counts; None for any time.

    Returns:
      The request's part of the outputs, and the seconds it waited for its batch to start.

    Raises:
      RequestError: RESOURCE_EXHAUSTED if the queue is full, DEADLINE_EXCEEDED, or what the model
        says.
    """
    seconds_left(deadline)
    request = _Request(inputs, size, deadline)
    with self._condition:
      self._enqueue(queue, compute, request)
      self._condition.notify()
    if not request.done.wait(seconds_left(deadline)):
      # The batch finds it expired, or computes it for nobody.
      raise deadline_exceeded("while the request was in its batch")
    if isinstance(request.answer, Exception):
      raise request.answer
    return request.answer, request.queue_seconds

  def stop(self) -> None:
    """Finishes what is in the queues and ends the threads."""
    with self._condition:
      self._stopping = True
      self._condition.notify_all()
    for thread in self._threads:
      thread.join()

  def _enqueue(self, queue: Hashable, compute: Compute, request: _Request) -> None:
    if self._stopping:
      raise RequestError(Code.UNAVAILABLE, "the server is stopping")
    batches = self._queues.setdefault(queue, deque())
    layout = tuple(sorted((name, array.shape[1:]) for name, array in request.inputs.items()))
    last = batches[-1] if batches else None
    fits = last is not None and last.size + request.size <= self._parameters.max_batch_size
    if not fits or last.layout != layout:
      if len(batches) >= self._parameters.max_enqueued_batches:
        raise RequestError(
          Code.RESOURCE_EXHAUSTED,
          f"the queue is full: {len(batches)} batches are waiting, allowed: "
          f"{self._parameters.max_enqueued_batches}; try again later",
        )
      due = request.arrival + self._parameters.batch_timeout_micros / 1e6
      last = _Batch(compute, layout, due)
      batches.append(last)
    last.requests.append(request)

  def _work(self) -> None:
    while True:
      with self._condition:
        found = self._take()
        while found is None:
          if self._stopping:
            return
          self._condition.wait(self._seconds_until_due())
          found = self._take()
        self._condition.notify()  # Another thread watches the batches that are left.
      self._run(*found)

  def _take(self) -> Optional[tuple[Hashable, _Batch]]:
    """Removes and returns the batch that has been ready for the longest time, if any is."""
    now = time.monotonic()
    ready = [
      (batches[0].due, index, queue)
      for index, (queue, batches) in enumerate(self._queues.items())
      if self._is_ready(batches, now)
    ]
    if not ready:
      return None
    _, _, queue = min(ready, key=lambda entry: entry[:2])
    batch = self._queues[queue].popleft()
    if not self._queues[queue]:
      del self._queues[queue]
    return queue, batch

  def _is_ready(self, batches: Sequence[_Batch], now: float) -> bool:
    first = batches[0]
    is_full = first.size >= self._parameters.max_batch_size
    return len(batches) > 1 or is_full or now >= first.due or self._stopping

  def _seconds_until_due(self) -> Optional[float]:
    dues = [batches[0].due for batches in self._queues.values()]
    return max(0.0, min(dues) - time.monotonic()) if dues else None

  def _run(self, queue: Hashable, batch: _Batch) -> None:
    now = time.monotonic()
    requests = []
    for request in batch.requests:
      request.queue_seconds = now - request.arrival
      if request.deadline is not None and request.deadline <= now:
        request.finish(deadline_exceeded("while the request waited for its batch"))
      else:
        requests.append(request)
    if not requests:
      return
    self._observe_run(queue, sum(request.size for request in requests))
    try:
      self._run_together(batch.compute, requests)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the requests' answer.
      self._run_apart(batch.compute, requests, error)

  def _run_together(self, compute: Compute, requests: Sequence[_Request]) -> None:
    sizes = [request.size for request in requests]
    inputs = _join([request.inputs for request in requests], self._parameters.padded_size)
    outputs = compute(inputs)
    for name, array in outputs.items():
      if len(array) < sum(sizes):
        raise ValueError(f"output {name!r}: {len(array)} rows for {sum(sizes)} examples")
    ends = np.cumsum(sizes)
    for request, end in zip(requests, ends):
      part = slice(end - request.size, end)
      request.finish({name: array[part] for name, array in outputs.items()})

  def _run_apart(self, compute: Compute, requests: Sequence[_Request], error: Exception) -> None:
    """Answers each request for itself: one that cannot be used shall not spoil the others."""
    if len(requests) == 1:
      requests[0].finish(error)
      return
    for request in requests:
      try:
        request.finish(compute(request.inputs))
      except Exception as its_error:  # noqa: BLE001 - as above.
        request.finish(its_error)


def _join(inputs: Sequence[Arrays], padded_size: Callable[[int], int]) -> Arrays:
  """Lays arrays end to end, and repeats the last example up to the size wanted."""
  joined = {}
  for name in inputs[0]:
    arrays = [each[name] for each in inputs]
    size = sum(len(array) for array in arrays)
    missing = padded_size(size) - size
    if missing:
      arrays.append(np.repeat(arrays[-1][-1:], missing, axis=0))
    joined[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
  return joined
