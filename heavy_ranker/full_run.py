"""What `//heavy_ranker:train` does from start to end: data if need be, train, evaluate, export."""

import time
from typing import Optional

import tensorflow as tf

from heavy_ranker import preemption
from heavy_ranker.best_checkpoint import chosen_checkpoint
from heavy_ranker.checkpoints import require_checkpoint, step_of
from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.config_check import check_config
from heavy_ranker.evaluation.evaluator import Evaluator, open_partition
from heavy_ranker.evaluation.results_file import results_path
from heavy_ranker.evaluation.table import format_result
from heavy_ranker.serving.export_origin import earlier_export
from heavy_ranker.serving.exporter import export, prepare_export_dir
from heavy_ranker.training import run_lock
from heavy_ranker.training.batch_evidence import count_evidence, evidence_folder
from heavy_ranker.training.cluster.cluster import joined
from heavy_ranker.training.end_of_training import how_it_ended, how_to_go_on
from heavy_ranker.training.run_log import log_path, tensorboard_folder
from heavy_ranker.training.trainer import train
from tfrecords import paths
from tfrecords.command_hints import command, tool
from tfrecords.config.data import DataConfig
from tfrecords.folders import make_writable
from tfrecords.generator import generate

_RANDOM_EXAMPLES = 2048
_RANDOM_SHARDS = 4


def train_evaluate_export(
  config: HeavyRankerConfig,
  fresh: bool = False,
  export_dir: Optional[str] = None,
  make_missing_data: bool = False,
) -> str:
  """Trains, measures every partition, exports, and tells where everything lies.

  Args:
    config: the whole configuration.
    fresh: sets an earlier run aside and starts over.
    export_dir: folder of the exported versions; see `heavy_ranker.serving.exporter.export`.
    make_missing_data: the configuration is the default one, made for random records: writes
      them where `train_data.inputs` matches no file.

  Returns:
    The exported version's folder.

  Raises:
    UserError: something outside the program is wrong; the message says how to mend it.
    Preempted: SIGTERM came; the same call goes on where this one ended.
  """
  check_config(config)
  with preemption.handled(), joined(config, fresh=fresh, export_dir=export_dir) as cluster:
    if not cluster.is_chief:
      cluster.gather("preparations")
      train(config, fresh, cluster)
      print("trained; the chief measures and exports", flush=True)
      return cluster.gather("the export")[0]
    if make_missing_data:
      make_random_data_if_missing(config.train_data)
    # What would only fail after training is looked at before.
    prepare_export_dir(export_dir)
    for name, partition in config.validation_data.items():
      open_partition(config, name, partition)
    save_dir = make_writable(config.training.save_dir, "training.save_dir")
    with run_lock.holding(save_dir):
      cluster.gather("preparations")
      started = time.monotonic()
      train(config, fresh, cluster)
      seconds = time.monotonic() - started
      checkpoint = chosen_checkpoint(config)
      if config.validation_data:
        print(f"\n{format_result(Evaluator(config).run(checkpoint))}", flush=True)
        if make_missing_data:
          print("(random labels, weighted as if they had been sampled: these figures mean nothing)")
      folder = _export_once(config, checkpoint, export_dir)
    _print_summary(config, save_dir, checkpoint, folder, seconds)
    cluster.gather("the export", folder)
  return folder


def _export_once(config: HeavyRankerConfig, checkpoint: str, export_dir: Optional[str]) -> str:
  """Exports unless an earlier process of this run, or one like it, has got that far."""
  earlier = earlier_export(config, checkpoint, prepare_export_dir(export_dir))
  if earlier is None:
    return export(config, checkpoint, export_dir)
  print(
    f"{earlier} is an export of this very checkpoint and configuration: nothing new to export "
    "(//heavy_ranker:export makes another one)"
  )
  return earlier


def make_random_data_if_missing(train_data: DataConfig) -> None:
  """Writes random records where `train_data.inputs` looks, if no file is there, and says so.

  A section that reads folders of days or hours is left alone: it has records of its own.
  """
  if train_data.inputs is None:
    return
  pattern = paths.resolve(train_data.inputs, "train_data.inputs")
  if tf.io.gfile.glob(pattern):
    return
  print(
    f"no file matches {pattern}: writing {_RANDOM_EXAMPLES} random records there, to try the "
    "program with. A model learns nothing from them: see README.md for records of your own",
    flush=True,
  )
  generate(
    train_data, n_examples=_RANDOM_EXAMPLES, num_shards=_RANDOM_SHARDS, kind="random", seed=0
  )


def _print_summary(
  config: HeavyRankerConfig, save_dir: str, checkpoint: str, folder: str, seconds: float
) -> None:
  from heavy_ranker.evaluation.report import report_path  # Plots take long to import.

  steps = step_of(require_checkpoint(save_dir))
  evaluation = report = "no validation_data"
  if config.validation_data:
    evaluation = results_path(save_dir, step_of(checkpoint))
    report = report_path(save_dir)
  skipped = count_evidence(save_dir, steps)
  without = f", without {skipped} batch(es) in {evidence_folder(save_dir)}" if skipped else ""
  print(f"""
done: {steps} steps{without}, training took {seconds:.0f} s{how_it_ended(config, save_dir)}
  checkpoint   {checkpoint}
  log          {log_path(save_dir)}
  tensorboard  {tensorboard_folder(save_dir)}
  evaluation   {evaluation}
  report       {report}
  export       {folder}

next
  look at the curves    {tool("tensorboard")} --logdir {tensorboard_folder(save_dir)}
  look at the export    {tool("saved_model_cli")} show --dir {folder} --all
  train further         the same command with --set {how_to_go_on(config, save_dir, steps)}
  change the score      {command("heavy_ranker", "export")} --set score.weights.TASK=WEIGHT""")
