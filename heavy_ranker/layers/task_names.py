"""Names of layers and variables that belong to one task."""

import re


def name_of_task(kind: str, task: str) -> str:
  """Returns "KIND.TASK", with what the name of a layer or variable cannot hold as _."""
  return f"{kind}." + re.sub(r"[^A-Za-z0-9_.-]", "_", task)
