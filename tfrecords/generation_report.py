"""What `//tfrecords:generate` says when it is done."""

from tabulate import tabulate

from tfrecords.generator import Generated

_MIB = 1024 * 1024


def describe(generated: Generated, config_path: str) -> str:
  """Returns the summary: how much, where, which positive rates, what to do next.

  Args:
    generated: what was written.
    config_path: the configuration it was written for.
  """
  rates = tabulate(
    [(task, f"{100 * rate:.3f} %") for task, rate in generated.positive_rates.items()],
    ["label", "positive"],
    disable_numparse=True,
    colalign=("left", "right"),
  )
  return f"""{rates}

done: {generated.n_examples} examples in {len(generated.files)} shard(s), \
{generated.n_bytes / _MIB:.1f} MiB
  files  {generated.pattern}

next
  train  ./bazelw run //heavy_ranker:train -- --config_path={config_path}"""
