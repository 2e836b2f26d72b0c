"""How a run's training ended, for people, and what would let it go on."""

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.early_stopping_record import read_record, standing, stopping_step


def how_it_ended(config: HeavyRankerConfig, save_dir: str) -> str:
  """Returns why training ended and which checkpoint is the best, as the rest of a sentence.

  Args:
    config: the whole configuration.
    save_dir: the run's folder.

  Returns:
    The text, empty without `training.early_stopping`.
  """
  section = config.training.early_stopping
  record = read_record(save_dir) if section is not None else None
  if record is None or not record.evaluations:
    return ""
  best, waiting = standing(section, record.evaluations)
  is_stopped = stopping_step(config, save_dir) is not None
  why = f"{waiting} evaluations in a row were no improvement" if is_stopped else "the last step"
  return (
    f"\n  ended by     {why}\n  best         step {best.step} of {len(record.evaluations)} "
    f"checkpoints, {section.metric} {best.value:.6g} on {section.partition}: the one below"
  )


def how_to_go_on(config: HeavyRankerConfig, save_dir: str, steps: int) -> str:
  """Returns an override, "dotted.key=value", with which the same command trains further.

  Args:
    config: the whole configuration.
    save_dir: the run's folder.
    steps: the updates that were made.
  """
  if stopping_step(config, save_dir) is None:
    return f"training.num_train_steps={2 * steps}"
  return f"training.early_stopping.patience={2 * config.training.early_stopping.patience}"
