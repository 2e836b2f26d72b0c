"""Runs the tasks of a stage as an Apache Beam pipeline, on this machine or on a cluster.

What goes through Beam are the tasks' numbers alone. The rows go through files, as in an external
sort: no runner has to hold them, and a stage that was interrupted goes on with the tasks that have
not left their file.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Optional, Protocol

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from tfrecords import errors, paths
from tfrecords.config.strict_model import did_you_mean
from tfrecords.errors import ConfigError, UserError
from tfrecords.files import errors_at, names_in
from tfrecords.ingestion import storage
from tfrecords.ingestion.job import Job
from tfrecords.progress import progress_bar

LOCAL = "local"
# Beam's own runner in this process; "DirectRunner" may try to download another one.
_IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LOCAL_RUNNERS = {"local", "directrunner", "direct", "fnapirunner", "bundlebaseddirectrunner"}
_SECONDS_BETWEEN_LOOKS = 0.5
# Processes start anew for each stage, which takes some seconds.
_BYTES_WORTH_A_PROCESS = 128 << 20


class Task(Protocol):
  """What is done for each number of a stage."""

  def output(self, number: int) -> str:
    """Returns the file that the task leaves when it is done."""

  def __call__(self, number: int) -> None:
    """Does it."""


class Runner:
  """Where the tasks run.

  Args:
    runner: "local", or one of Beam's, such as FlinkRunner, SparkRunner, DataflowRunner.
    options: of the runner, "name=value" or "name" for a switch, as Beam's documentation has them.
    n_workers: processes of the local runner; 1 runs in this process, None is one a processor as far
      as the table is large enough to pay for their start.

  Raises:
    ConfigError: Beam knows no such runner or option.
  """

  def __init__(
    self, runner: str = LOCAL, options: Sequence[str] = (), n_workers: Optional[int] = 1
  ):
    if n_workers is not None and n_workers < 1:
      raise ConfigError(f"--workers: found {n_workers}, allowed: at least 1")
    known = set(PipelineOptions([]).get_all_options())
    for option in options:
      name = option.lstrip("-").partition("=")[0]
      if name not in known:
        raise ConfigError(
          f"--runner_option: found {name!r}, which Beam does not know{did_you_mean(name, known)}; "
          "allowed: name=value, the options of the runner"
        )
    self.is_local = runner.lower() in _LOCAL_RUNNERS
    self._n_workers = n_workers
    arguments = [f"--{option.lstrip('-')}" for option in options]
    self._arguments = [f"--runner={_IN_PROCESS if self.is_local else runner}", *arguments]
    self._check_runner(runner)

  def run(self, job: Job, stage: str, task: Task, n_tasks: int) -> None:
    """Runs the tasks that are not done yet.

    Args:
      job: what they work on.
      stage: what to call it.
      task: what to do.
      n_tasks: for the numbers from 0 to this.

    Raises:
      UserError: that of the first task that met one.
    """
    todo = [number for number in range(n_tasks) if not storage.exists(task.output(number))]
    if not todo:
      return
    storage.remove(os.path.dirname(job.error_path(0)))
    for folder in {os.path.dirname(task.output(number)) for number in todo}:
      storage.make_folder(folder)
    storage.make_folder(os.path.dirname(job.error_path(0)))
    with _progress(stage, task, todo, n_tasks), _workers_find_the_sources():
      # Its warnings are about what users of Beam itself might want.
      if self.is_local:
        logging.getLogger("apache_beam").setLevel(logging.ERROR)
      with beam.Pipeline(
        options=PipelineOptions(self.arguments(len(todo), _size(job)))
      ) as pipeline:
        _ = (
          pipeline
          | "Tasks" >> beam.Create(todo, reshuffle=True)
          | stage.capitalize() >> beam.ParDo(_Run(job, task))
        )
    _raise_first_error(job)

  def arguments(self, n_tasks: int, n_bytes: int = 0) -> list[str]:
    """Returns the arguments of a pipeline, as Beam takes them.

    Args:
      n_tasks: how many tasks it has.
      n_bytes: the size of the table.
    """
    n_workers = self._n_workers
    if n_workers is None:
      n_workers = min(len(os.sched_getaffinity(0)), 1 + n_bytes // _BYTES_WORTH_A_PROCESS)
    n_workers = min(n_workers, n_tasks)
    is_settled = any("direct_running_mode" in option for option in self._arguments)
    if not self.is_local or is_settled or n_workers <= 1:
      return self._arguments
    return [
      *self._arguments,
      f"--direct_num_workers={n_workers}",
      "--direct_running_mode=multi_processing",
    ]

  def _check_runner(self, runner: str) -> None:
    try:
      made = beam.runners.create_runner(self._arguments[0].partition("=")[2])
      if not isinstance(made, beam.runners.PipelineRunner):
        raise ValueError("no runner")
    except (ImportError, ValueError, AttributeError, TypeError) as error:
      raise ConfigError(
        f"--runner: found {runner!r}, which Beam cannot use ({errors.reason(error)}), allowed: "
        "local, FlinkRunner, SparkRunner, DataflowRunner, PortableRunner; some need a package of "
        "their own, see docs/ingestion.md"
      ) from None


class _Run(beam.DoFn):
  """Runs a task, and leaves word of an error that a user can mend rather than raising it.

  Runners try a failed task again and again, and hand on no more than a text.
  """

  def __init__(self, job: Job, task: Task):
    self._job, self._task = job, task

  def process(self, number: int) -> Iterable[int]:
    """Runs the task of one number; nothing goes on from it."""
    self._run(number)
    return ()

  def _run(self, number: int) -> None:
    if storage.exists(self._task.output(number)):
      return
    if names_in(os.path.dirname(self._job.error_path(0))):
      return
    try:
      try:
        self._task(number)
      except errors_at(self._job.work_folder) as error:
        # What goes wrong with inputs is a DataError by then: this is about the work folder.
        raise storage.cannot_be("written", self._job.work_folder, error) from None
    except UserError as error:
      content = {"kind": type(error).__name__, "message": str(error)}
      storage.write_json(self._job.error_path(number), content)


def _size(job: Job) -> int:
  return sum(chunk.n_bytes for chunk in job.chunks)


def _raise_first_error(job: Job) -> None:
  folder = os.path.dirname(job.error_path(0))
  for name in names_in(folder):
    if name.startswith("."):
      continue
    content = storage.read_json(os.path.join(folder, name))
    raise getattr(errors, content["kind"])(content["message"])


@contextmanager
def _progress(stage: str, task: Task, todo: Sequence[int], n_tasks: int) -> Iterator[None]:
  """Shows how many tasks have left their file, wherever they run."""
  bar = progress_bar(n_tasks, stage, "task", initial=n_tasks - len(todo))
  if bar.disable:
    yield
    return
  ended = threading.Event()

  def watch() -> None:
    left = set(todo)
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
      done = {number for number in left if storage.exists(task.output(number))}
      left -= done
      bar.update(len(done))

  watcher = threading.Thread(target=watch, daemon=True)
  watcher.start()
  try:
    yield
  finally:
    ended.set()
    watcher.join()
    bar.close()


@contextmanager
def _workers_find_the_sources() -> Iterator[None]:
  """Lets processes that Beam starts import what this one can."""
  before = os.environ.get("PYTHONPATH")
  os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([paths.package_root(), *sys.path]))
  try:
    yield
  finally:
    if before is None:
      del os.environ["PYTHONPATH"]
    else:
      os.environ["PYTHONPATH"] = before
