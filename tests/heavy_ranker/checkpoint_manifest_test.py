"""Tests of `heavy_ranker.checkpoint_manifest`: every damage tells, and nothing else does."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from heavy_ranker.checkpoint_manifest import damage, files_of, write_manifest

BAZEL_SIZE = "medium"
_SEED = 11
_CORRUPTIONS = 400


@pytest.fixture
def checkpoint(tmp_path):
  """A checkpoint with a manifest."""
  variable = tf.Variable(np.random.default_rng(0).normal(size=(40, 5)), dtype=tf.float32)
  iterator = iter(tf.data.Dataset.range(30).shuffle(9, seed=1))
  next(iterator)
  path = str(tmp_path / "step-3")
  tf.train.Checkpoint(weights={"w": variable}, data_position=iterator).write(path)
  write_manifest(path, path, f"{path}.manifest")
  return path


def _files(checkpoint):
  return [*files_of(checkpoint), f"{checkpoint}.manifest"]


def test_a_manifest_holds_size_and_checksum_of_each_file(checkpoint):
  content = json.loads(Path(f"{checkpoint}.manifest").read_text())
  assert list(content["files"]) == ["step-3.data-00000-of-00001", "step-3.index"]
  assert damage(checkpoint) is None


def _corrupt(content, generator):
  """Another content: a bit flipped, or bytes cut off, added or zeroed."""
  kind = generator.choice(["flip", "flip", "cut", "add", "zero"])
  place = generator.randrange(len(content))
  if kind == "flip":
    content[place] ^= 1 << generator.randrange(8)
  elif kind == "cut":
    del content[place:]
  elif kind == "add":
    content += bytes([generator.randrange(256)])
  else:
    content[place:] = bytes(len(content) - place)
  return kind


def test_every_corruption_of_every_file_is_recognised_and_the_file_is_named(checkpoint):
  generator = random.Random(_SEED)
  for _ in range(_CORRUPTIONS):
    path = generator.choice(_files(checkpoint))
    with open(path, "rb") as file:
      original = file.read()
    content = bytearray(original)
    kind = _corrupt(content, generator)
    if content == original or (path.endswith(".manifest") and content.strip() == original.strip()):
      continue
    with open(path, "wb") as file:
      file.write(content)
    wrong = damage(checkpoint)
    assert wrong is not None, (path, kind)
    if not path.endswith(".manifest"):
      assert path.rsplit("/", 1)[1] in wrong
    with open(path, "wb") as file:
      file.write(original)
  assert damage(checkpoint) is None


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_file_that_is_gone_is_named(checkpoint, suffix):
  tf.io.gfile.remove(f"{checkpoint}{suffix}")
  assert damage(checkpoint) == f"step-3{suffix} is missing"


def test_without_a_manifest_tensorflow_s_own_checksums_tell(checkpoint):
  tf.io.gfile.remove(f"{checkpoint}.manifest")
  assert damage(checkpoint) is None
  path = f"{checkpoint}.data-00000-of-00001"
  with open(path, "rb") as file:
    content = bytearray(file.read())
  # The whole file is tensors, the position in the data among them.
  for place in range(0, len(content), max(1, len(content) // 20)):
    content[place] ^= 4
    with open(path, "wb") as file:
      file.write(content)
    assert "cannot be read: " in damage(checkpoint), place
    content[place] ^= 4
  tf.io.gfile.remove(path)
  assert "cannot be read: " in damage(checkpoint)
  tf.io.gfile.remove(f"{checkpoint}.index")
  assert damage(checkpoint) == "step-3.index is missing"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', "null", "\x00\x00"])
def test_a_manifest_that_is_none_is_damage(checkpoint, content):
  with open(f"{checkpoint}.manifest", "w") as file:
    file.write(content)
  assert damage(checkpoint) == "step-3.manifest is not as it was written"
