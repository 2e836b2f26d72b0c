"""YAML made to hurt is refused at once, with a message that can be printed."""

import pytest

from tfrecords.config import yaml_file
from tfrecords.errors import ConfigError

LETTERS = "abcdefghijkl"


def laughs(template):
  """Each letter stands for the one before, 8 times."""
  lines = ["a: &a {k: 1}"]
  for last, this in zip(LETTERS, LETTERS[1:]):
    lines.append(f"{this}: &{this} {template.format(', '.join([f'*{last}'] * 8))}")
  return "\n".join(lines)


@pytest.mark.parametrize(
  "text, words",
  [
    (laughs("[{}]"), "aliases written out it has 3.09e.10"),
    (
      laughs("{{<<: [{}]}}"),
      "merge keys add up to 262144 keys",
    ),
    ("a: &a [*a]", "an anchor holds itself"),
    ("a: &a {b: [*a]}", "an anchor holds itself"),
    ("x: " + "y" * (4 << 20), "found more than 4194304 bytes"),
    ("[" * 100_000, "no valid YAML"),
    ("x: 0x" + "f" * 5000, None),
    ("x: " + "9" * 5000, "no valid YAML: .*4300 digits"),
    (r'x: "\uD800"', r"found '\\ud800', allowed: Unicode"),
    (r'"\uD800": x', r"found '\\ud800', allowed: Unicode"),
    ("x: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ("x: !!python/name:os.getcwd", "could not determine a constructor"),
    ("x: !<tag:yaml.org,2002:python/object/new:os.getcwd> []", "could not determine a constructor"),
  ],
  ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_it_is_refused(tmp_path, text, words):
  path = tmp_path / "a.yaml"
  path.write_text(text)
  if words is None:
    assert yaml_file.read(path)["x"].bit_length() == 20_000
    return
  with pytest.raises(ConfigError, match=words) as caught:
    yaml_file.read(path)
  assert str(caught.value).encode().startswith(str(path).encode())


def test_so_are_overrides(tmp_path):
  path = tmp_path / "a.yaml"
  path.write_text("x: 1")
  with pytest.raises(ConfigError, match="an anchor holds itself"):
    yaml_file.read(path, ["x=&a [*a]"])


def test_aliases_and_merge_keys_in_reason_are_fine(tmp_path):
  path = tmp_path / "a.yaml"
  path.write_text("a: &a {k: 1}\nb: [*a, *a]\nc: {<<: *a, l: 2}")
  assert yaml_file.read(path) == {"a": {"k": 1}, "b": [{"k": 1}] * 2, "c": {"k": 1, "l": 2}}
