"""`extends`: one file laid over another, each with its own folder, errors that name the file."""

import pytest

from tfrecords.config import yaml_file
from tfrecords.config.data import load_data_config
from tfrecords.errors import ConfigError


@pytest.fixture(name="write")
def write_fixture(tmp_path):
  def write(name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

  return write


def test_a_file_is_laid_over_the_one_it_extends(write):
  write("base.yaml", "model: {width: 3, layers: [1, 2], norm: {epsilon: 1}}\nseed: 1\n")
  path = write("leaf.yaml", "extends: base.yaml\nmodel: {layers: [5], norm: {scale: no}}\nnew: 2\n")
  assert yaml_file.read(path) == {
    "model": {"width": 3, "layers": [5], "norm": {"epsilon": 1, "scale": False}},
    "seed": 1,
    "new": 2,
  }


def test_null_removes_what_the_other_file_says_and_only_there(write):
  write("base.yaml", "a: {b: 1, c: 2}\nd: null\n")
  path = write("leaf.yaml", "extends: base.yaml\na: {b: null}\n")
  assert yaml_file.read(path) == {"a": {"c": 2}, "d": None}


def test_a_chain_of_files_each_relative_to_its_own_folder(write, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write("root.yaml", "a: {root: '${CONFIG_DIR}'}\nn: 0\n")
  write("one/middle.yaml", "extends: ../root.yaml\na: {middle: '${CONFIG_DIR}'}\nn: 1\n")
  write("one/two/leaf.yaml", "extends: ../middle.yaml\na: {leaf: '${CONFIG_DIR}'}\n")
  assert yaml_file.read("one/two/leaf.yaml") == {
    "a": {
      "root": str(tmp_path),
      "middle": str(tmp_path / "one"),
      "leaf": str(tmp_path / "one" / "two"),
    },
    "n": 1,
  }


def test_an_absolute_path_and_a_variable_may_be_extended(write, tmp_path, monkeypatch):
  monkeypatch.setenv("BASES", str(tmp_path / "bases"))
  write("bases/base.yaml", "a: 1\n")
  assert yaml_file.read(write("leaf.yaml", "extends: $BASES/base.yaml\n")) == {"a": 1}


def test_overrides_come_last_and_reach_no_twin(write):
  write("base.yaml", "a: &twin {b: 1}\nc: *twin\n")
  path = write("leaf.yaml", "extends: base.yaml\na: {d: 2}\n")
  assert yaml_file.read(path, ["c.b=5", "a.d=null"]) == {"a": {"b": 1}, "c": {"b": 5}}


@pytest.mark.parametrize("text", ["a: 1\n", "a: 1\nextends: null\n"])
def test_a_file_that_extends_nothing_stays_as_it_is(write, text):
  content, origin = yaml_file.read_with_origin(write("a.yaml", text))
  assert content == {"a": 1}
  assert origin.endswith("a.yaml")


@pytest.mark.parametrize("value", ["[base.yaml]", "{a: 1}", "3", "true", "''", "'  '"])
def test_only_a_path_can_be_extended(write, value):
  path = write("leaf.yaml", f"extends: {value}\n")
  with pytest.raises(ConfigError, match=r"leaf\.yaml: extends: found .*allowed: the path of one"):
    yaml_file.read(path)


@pytest.mark.parametrize("value", ["none.yaml", ".", "$NOT_SET_HERE/base.yaml", '"a\\0b"'])
def test_what_cannot_be_read_names_both_files(write, value):
  path = write("leaf.yaml", f"extends: {value}\n")
  with pytest.raises(ConfigError, match=r"\(extended by .*leaf\.yaml\): .*cannot be read"):
    yaml_file.read(path)


@pytest.mark.parametrize(
  ("text", "message"), [("a: [", "no valid YAML"), ("- 1\n", "found .*allowed: a mapping")]
)
def test_a_mistake_in_the_other_file_names_it(write, text, message):
  write("base.yaml", text)
  path = write("leaf.yaml", "extends: base.yaml\n")
  with pytest.raises(ConfigError, match=rf"base\.yaml \(extended by .*leaf\.yaml\): {message}"):
    yaml_file.read(path)


def test_a_ring_is_refused_by_its_names(write, tmp_path):
  write("sub/b.yaml", "extends: ../c.yaml\n")
  write("c.yaml", "extends: ./sub/../a.yaml\n")
  path = write("a.yaml", "extends: sub/b.yaml\n")
  with pytest.raises(ConfigError) as caught:
    yaml_file.read(path)
  names = " -> ".join(str(tmp_path / name) for name in ("a.yaml", "sub/b.yaml", "c.yaml", "a.yaml"))
  assert str(caught.value) == f"{tmp_path}/c.yaml: extends: found a ring, allowed: a chain: {names}"


def test_a_file_that_extends_itself_is_refused(write):
  with pytest.raises(ConfigError, match=r"a\.yaml: extends: found a ring"):
    yaml_file.read(write("a.yaml", "extends: a.yaml\n"))


def test_an_anchor_that_holds_itself_is_refused(write):
  write("base.yaml", "a: {}\n")
  path = write("leaf.yaml", "extends: base.yaml\na: &a {b: *a}\n")
  with pytest.raises(ConfigError, match="an anchor holds itself"):
    yaml_file.read(path)


def test_what_is_wrong_with_the_content_names_all_files(write):
  write("root.yaml", "train_data: {inputs: x}\n")
  write("middle.yaml", "extends: root.yaml\n")
  path = write("leaf.yaml", "extends: middle.yaml\n")
  with pytest.raises(
    ConfigError,
    match=r"leaf\.yaml \(extends .*middle\.yaml \(extends .*root\.yaml\)\): train_data: ",
  ):
    load_data_config(str(path))
