"""Training from the first step, or from where an earlier run stopped, to the last."""

import contextlib
from typing import Callable, Optional

import tensorflow as tf
import tf_keras as keras

from heavy_ranker import preemption
from heavy_ranker.checkpoints import intact_checkpoint, latest_checkpoint
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.features import input_names, schema_widths
from heavy_ranker.model import build_model
from heavy_ranker.training import run_lock
from heavy_ranker.training.checkpoint_manager import CheckpointManager, data_fingerprint
from heavy_ranker.training.cluster.cluster import ALONE, Cluster, joined
from heavy_ranker.training.cluster.cluster_checkpoints import ClusterCheckpoints
from heavy_ranker.training.cluster.data_positions import make_positions
from heavy_ranker.training.cluster.shared_folder import require_shared
from heavy_ranker.training.data_fit import fit_to_data
from heavy_ranker.training.distribution import examples_per_replica, make_strategy
from heavy_ranker.training.earlier_run import set_aside
from heavy_ranker.training.early_stopping import EarlyStopping
from heavy_ranker.training.finite_state import FiniteState
from heavy_ranker.training.gradient_accumulation import GradientAccumulation
from heavy_ranker.training.gradient_clipping import GradientClipping
from heavy_ranker.training.gradient_norms import GradientNorms
from heavy_ranker.training.guarded_updates import GuardedUpdates, Outputs
from heavy_ranker.training.initial_tables import check_vocabularies, fill_tables
from heavy_ranker.training.learning_rates import Schedule
from heavy_ranker.training.log_history import cut_back
from heavy_ranker.training.multi_task_ranker import Batch, MultiTaskRanker, PlacedBatch
from heavy_ranker.training.optimizer import (
  learning_rate_configs,
  make_optimizer,
  variable_groups,
)
from heavy_ranker.training.run_log import RunLog
from heavy_ranker.training.skipped_batches import SkippedBatches
from heavy_ranker.training.table_log import TableLog
from heavy_ranker.training.warm_start import warm_start
from heavy_ranker.z_score_statistics import notice_of_kept_statistics
from tfrecords import paths
from tfrecords.errors import TrainingError
from tfrecords.folders import make_writable
from tfrecords.input_pipeline import InputPipeline

History = list[dict[str, float]]


def train(
  config: HeavyRankerConfig, fresh: bool = False, cluster: Optional[Cluster] = None
) -> History:
  """Trains a ranker; a run that was interrupted continues as if it had never stopped.

  Args:
    config: the whole configuration.
    fresh: sets an earlier run in `training.save_dir` aside and starts over.
    cluster: the workers that train together; those that TF_CONFIG names when None.

  Returns:
    What was logged, an entry a logged step: `step`, `loss`, `loss/TASK`, `examples_per_second`,
    `log_variance/TASK` where those are learned, and `gradient_norm/GROUP` if asked for.

  Raises:
    UserError: configuration, data, storage or checkpoint cannot be used, loss or gradients are not
      finite, or another process trains in the folder; the message says how to mend it.
    Preempted: SIGTERM came; the step under way was finished and its checkpoint written.
  """
  check_config(config)
  with preemption.handled(), contextlib.ExitStack() as stack:
    if cluster is None:
      cluster = stack.enter_context(joined(config, fresh=fresh))
    if cluster.is_chief:
      save_dir = make_writable(config.training.save_dir, "training.save_dir")
      stack.enter_context(run_lock.holding(save_dir))
    return Trainer(config, fresh, cluster).run()


class Trainer:
  """One training run: everything is built and restored on construction.

  Args:
    config: the whole configuration.
    fresh: starts over, see `train`.
    cluster: the workers that train together, this one among them.
  """

  def __init__(self, config: HeavyRankerConfig, fresh: bool = False, cluster: Cluster = ALONE):
    self._config, self._cluster = config, cluster
    self._tasks = list(config.model.tasks)
    self._strategy = cluster.strategy or make_strategy()
    replicas = self._strategy.num_replicas_in_sync
    batch_size = config.train_data.global_batch_size
    self._micro_batches = config.training.gradient_accumulation or 1
    self._examples_per_step = self._micro_batches * batch_size
    self._local_replicas = replicas // cluster.count
    self._replica_batch_size = examples_per_replica(
      batch_size, replicas, "train_data.global_batch_size"
    )
    save_dir = paths.resolve(config.training.save_dir, "training.save_dir")
    found = latest_checkpoint(save_dir)
    cluster.require_same(
      "training.save_dir: the last checkpoint", found, "It has to be a folder all workers share"
    )
    resumes = not fresh and found is not None
    # The model first: if it cannot be built, that shows before a record is read.
    with self._strategy.scope():
      ranker = build_model(
        config, weights_follow=resumes, compute_dtype=config.training.compute_dtype
      )
      self._model = MultiTaskRanker(config, ranker, self._examples_per_step)
      self._log_variances = self._model.reduction.log_variances
      tables = config.model.large_embeddings
      optimizer = make_optimizer(config.optimizer, ranker, self._tasks, self._log_variances, tables)
      self._model.compile(optimizer=optimizer)
      accumulation = None
      if self._micro_batches > 1:
        accumulation = GradientAccumulation(self._model, len(self._tasks))
      self._step = tf.Variable(
        0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
      )
    self._updates = self._make_updates(ranker, accumulation)
    inputs = input_names(config, schema_widths(config))
    self._pipeline = InputPipeline(
      config.train_data, "train", inputs, self._tasks, with_places=True, share=cluster.share
    )
    self._early_stopping: Optional[EarlyStopping] = None
    if config.training.early_stopping is not None:
      self._early_stopping = EarlyStopping(config, save_dir, cluster)
    self._open_save_dir(fresh)
    self._finite_state = FiniteState([*self._model.variables, *optimizer.variables()])
    self._table_log = TableLog(ranker, tables)
    self._iterator = iter(self._pipeline.dataset)
    self._schedules = {
      group: Schedule(section)
      for group, section in learning_rate_configs(config.optimizer, self._tasks, tables).items()
    }
    self._open_checkpoints(optimizer)
    notice = notice_of_kept_statistics(config, ranker)
    if notice:
      print(notice)

  def _make_updates(
    self, ranker: keras.Model, accumulation: Optional[GradientAccumulation]
  ) -> GuardedUpdates:
    groups = variable_groups(ranker, self._tasks, self._log_variances)
    norms = GradientNorms(self._model.trained, groups)
    self._groups = norms.groups
    section = self._config.optimizer.gradient_clipping
    clipping = GradientClipping(section, norms) if section is not None else None
    return GuardedUpdates(self._strategy, self._model, norms, self._part_of, accumulation, clipping)

  def _open_save_dir(self, fresh: bool) -> None:
    key = "training.save_dir"
    self._save_dir = make_writable(self._config.training.save_dir, key)
    self._cluster.gather(f"{key} is there")
    if fresh and self._cluster.is_chief:
      earlier = set_aside(self._save_dir)
      if earlier:
        print(
          f"--fresh: the earlier run now lies in {earlier}; delete it when you are done with it"
        )
      make_writable(self._save_dir, key)
      run_lock.hold(self._save_dir)
    require_shared(self._save_dir, key, self._cluster)

  def _open_checkpoints(self, optimizer: tf.Module) -> None:
    self._saved_step: Optional[int] = None
    iterator = self._iterator if self._pipeline.position_can_be_saved else None
    fingerprint = data_fingerprint(self._config.train_data, self._pipeline.all_shards)
    positions = make_positions(self._save_dir, iterator, fingerprint, self._cluster)
    loss_scale = self._model.loss_scale

    def make_manager(save_dir: str) -> CheckpointManager:
      return CheckpointManager(
        save_dir,
        self._model.ranker,
        optimizer,
        self._step,
        iterator if positions is None else None,
        fingerprint if positions is None else f"{fingerprint} of {self._cluster.count} workers",
        self._config.training.checkpoint_max_to_keep,
        self._log_variances,
        loss_scale.variables if loss_scale is not None else None,
      )

    if self._cluster.count == 1:
      self._checkpoints = make_manager(self._save_dir)
    else:
      self._checkpoints = ClusterCheckpoints(
        make_manager, self._save_dir, positions, self._step, self._cluster
      )
    self._start_or_restore()
    if self._early_stopping is not None:
      self._early_stopping.restore(int(self._step.numpy()))

  def _start_or_restore(self) -> None:
    checkpoint = intact_checkpoint(self._save_dir)
    self._cluster.gather("a checkpoint is chosen")
    tables = self._config.model.large_embeddings
    if checkpoint is None:
      for report in fill_tables(self._model.ranker, tables):
        print(report)
      fitted = fit_to_data(self._model.ranker, self._config)
      if fitted is not None:
        print(fitted)
      if self._config.training.initial_checkpoint_dir is not None:
        initial = self._config.training.initial_checkpoint_dir
        print(f"warm start: {warm_start(self._model.ranker, initial)}")
        check_vocabularies(self._model.ranker, tables, initial)
      if self._cluster.is_chief:
        cut_back(self._save_dir, 0, None)
      return
    is_restored = self._checkpoints.restore(checkpoint)
    self._cluster.gather("restored")
    if self._cluster.is_chief:
      cut_back(self._save_dir, int(self._step.numpy()), checkpoint)
    check_vocabularies(self._model.ranker, tables, checkpoint)
    print(f"resuming from {checkpoint} (start over with --fresh)")
    if not self._pipeline.position_can_be_saved:
      print(
        "train_data.data_service_dispatcher: a data service cannot save its position: reading "
        "starts from the data's beginning"
      )
    elif not is_restored and self._cluster.count == 1:
      print("the training data has changed since then: reading starts from its beginning")

  def run(self) -> History:
    """Trains up to the last step, writes the final checkpoint, returns what was logged."""
    last_step = self._config.training.num_train_steps
    first_step = int(self._step.numpy())
    history: History = []
    if self._early_stopping is not None:
      self._early_stopping.catch_up()
    if first_step >= last_step:
      print(f"nothing left to train: {first_step} of {last_step} steps are done")
      return history
    if self._is_stopped():
      print(f"nothing left to train: {self._early_stopping.verdict}. A larger patience goes on")
      return history
    self._skipped = SkippedBatches(
      self._save_dir,
      first_step,
      self._config.training.max_skipped_batches,
      self._model.ranker,
      self._tasks,
      self._groups,
      self._pipeline.files,
      self._cluster.index,
    )
    with (
      RunLog(self._save_dir, first_step, last_step, self._cluster.is_chief) as log,
      self._pipeline.explained(),
    ):
      log.event(
        "training",
        f"steps {first_step + 1} to {last_step} on {self._strategy.num_replicas_in_sync} "
        f"replica(s){self._of_workers()}, {self._examples_per_step} examples a step"
        f"{self._in_micro_batches()}",
      )
      try:
        with preemption.held():
          for step in range(first_step + 1, last_step + 1):
            if not self._cluster.may_begin(step):
              self._stop(step - 1, log)
            self._run_step(step, step == last_step, log, history)
            if self._is_stopped():
              break
      finally:
        self._report_skipped(log)
    return history

  def _is_stopped(self) -> bool:
    return self._early_stopping is not None and self._early_stopping.verdict is not None

  def _stop(self, step: int, log: RunLog) -> None:
    """Ends for a SIGTERM that came to a worker, with a checkpoint of this step."""
    if self._saved_step != step:
      self._save(log)
    log.event("preempted", "SIGTERM came: stopping here")
    self._cluster.gather("a stop")
    preemption.stop(
      f"stopped by SIGTERM after step {step} of {self._config.training.num_train_steps}, which the "
      "newest checkpoint holds. The same command goes on from there"
    )

  def _report_skipped(self, log: RunLog) -> None:
    summary = self._pipeline.skipped.summary() if self._pipeline.skipped is not None else None
    if summary is not None:
      log.event("skipped_data", summary)
    if self._skipped.summary():
      log.event("skipped_batches", self._skipped.summary())

  def _run_step(self, step: int, is_last: bool, log: RunLog, history: History) -> None:
    section = self._config.training
    log_due = step % section.train_log_every_n == 0
    try:
      with self._cluster.explained():
        for _ in range(self._micro_batches - 1):
          self._until_used(self._accumulate, step, log)
        outputs = self._until_used(self._train_step, step, log)
    except tf.errors.OutOfRangeError:
      inputs = f"train_data.{self._config.train_data.inputs_key}"
      raise TrainingError(
        f"{inputs}: the data ended after {step - 1} steps, allowed: enough for "
        f"{section.num_train_steps}. Set train_data.repeat_files=true or fewer "
        "training.num_train_steps"
      ) from None
    log.advance()
    is_round = step % section.checkpoint_every_n == 0
    checkpoint_due = is_last or is_round
    if log_due:
      losses = {"loss": float(outputs["loss"])}
      losses.update(zip(self._tasks, outputs["task_losses"].numpy().tolist()))
      rates = self._learning_rates(step - 1)
      scales = {task: float(variable.numpy()) for task, variable in self._log_variances.items()}
      lengths = self._table_log.row_lengths()
      norms = self._gradient_norms(outputs)
      history.append(log.step(step, self._examples_per_step, losses, rates, scales, lengths, norms))
    if checkpoint_due:
      path = self._save(log)
      if self._early_stopping is not None:
        self._early_stopping.measure(path, step, log)

  def _save(self, log: RunLog) -> str:
    log.pause()
    log.flush()
    self._finite_state.require(int(self._step.numpy()), latest_checkpoint(self._save_dir) or "")
    kept_steps = self._early_stopping.kept_steps if self._early_stopping is not None else ()
    with self._cluster.explained():
      saved = self._checkpoints.save(kept_steps)
    self._saved_step = int(self._step.numpy())
    figures = {"megabytes": f"{saved.size / 1e6:.1f}", "seconds": f"{saved.seconds:.2f}"}
    log.event("checkpoint", saved.path, **figures)
    log.resume()
    return saved.path

  def _of_workers(self) -> str:
    return f" of {self._cluster.count} workers" if self._cluster.count > 1 else ""

  def _in_micro_batches(self) -> str:
    return f" in {self._micro_batches} micro-batches" if self._micro_batches > 1 else ""

  def _until_used(self, use: Callable[..., tuple], step: int, log: RunLog) -> Outputs:
    """Hands out batches until one has a finite loss and gradients; the others are told of.

    But for those that float16 could not hold, since mixed precision finds its scale with them.
    """
    while True:
      outputs, batch = use(self._iterator)
      if outputs["is_finite"]:
        return outputs
      if outputs["is_overflow"]:
        continue
      last = latest_checkpoint(self._save_dir) or ""
      log.event("not_finite", self._skipped.add(step, outputs, batch, last))

  @tf.function(autograph=False)
  def _accumulate(self, iterator: tf.data.Iterator) -> tuple[Outputs, PlacedBatch]:
    batch = iterator.get_next()
    return self._updates.accumulate(batch[:3]), batch

  @tf.function(autograph=False)
  def _train_step(self, iterator: tf.data.Iterator) -> tuple[Outputs, PlacedBatch]:
    batch = iterator.get_next()
    outputs = self._updates.update(batch[:3])
    self._step.assign_add(tf.cast(outputs["is_finite"], tf.int64))
    return outputs, batch

  def _part_of(self, batch: Batch) -> Batch:
    """Cuts this replica's rows out of the global batch, on the host, where it lies."""
    context = tf.distribute.get_replica_context()
    if self._local_replicas == 1:
      return batch
    size = self._replica_batch_size
    # The batch holds the rows of this machine's replicas.
    start = context.replica_id_in_sync_group % self._local_replicas * size
    with tf.device("CPU:0"):
      return tf.nest.map_structure(lambda tensor: tensor[start : start + size], batch)

  def _learning_rates(self, updates_made: int) -> dict[str, float]:
    return {group: float(rate(updates_made)) for group, rate in self._schedules.items()}

  def _gradient_norms(self, outputs: Outputs) -> dict[str, float]:
    if not self._config.training.log_gradient_norms:
      return {}
    return dict(zip(self._groups, outputs["gradient_norms"].numpy().tolist()))
