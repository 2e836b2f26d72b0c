"""A configuration's content as the text of a YAML file, for people to read and change."""

from collections.abc import Mapping
from typing import Any

import yaml

_WIDTH = 100


def text_of(content: Mapping[str, Any]) -> str:
  """Returns plain data as YAML: keys in their order, lists of scalars in one line, no anchors."""
  return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
  def ignore_aliases(self, data: Any) -> bool:
    return True

  def represent_list(self, data: list) -> yaml.Node:
    is_flat = not any(isinstance(element, (list, dict)) for element in data)
    return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=is_flat)


_Dumper.add_representer(list, _Dumper.represent_list)
