"""What `//tfrecords:generate` says when it is done."""

from tfrecords.command_hints import command
from tfrecords.generator import Generated


def describe(generated: Generated, training_flags: str) -> str:
  """Returns the summary: how much, where, which positive rates, what to do next.

  Args:
    generated: what was written.
    training_flags: the flags with which training finds the records.
  """
  width = max(map(len, generated.positive_rates))
  rates = [f"  {task:{width}} {rate:8.3%}" for task, rate in generated.positive_rates.items()]
  return "\n".join(
    [
      f"{generated.n_examples:,} examples in {len(generated.shards)} shard(s), "
      f"{generated.n_bytes:,} bytes: {generated.pattern}",
      "positive labels:",
      *rates,
      "next, try:",
      f"  {command('heavy_ranker', 'train')} {training_flags}".rstrip(" -"),
    ]
  )
