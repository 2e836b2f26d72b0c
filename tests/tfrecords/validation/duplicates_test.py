"""Tests of `tfrecords.validation.duplicates`."""

import os
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords.errors import StorageError
from tfrecords.validation.duplicates import DuplicateFinder
from tfrecords.validation.row_sample import mix

files = st.lists(st.lists(st.integers(0, 12), max_size=12), max_size=5)


def found_in(files, in_memory):
  with DuplicateFinder(in_memory) as finder:
    for number, ids in enumerate(files):
      finder.add(number, np.arange(len(ids)), mix(np.array(ids, np.uint64)))
    return finder.find()


@given(files=files, in_memory=st.sampled_from([0, 3, 1000]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_as_a_dictionary_finds_them_in_memory_or_on_disk(files, in_memory):
  seen, expected = {}, []
  for number, ids in enumerate(files):
    for record, value in enumerate(ids):
      if value in seen:
        expected.append((number, record))
      seen[value] = (number, record)
  found = found_in(files, in_memory)
  assert found.count == len(expected)
  assert dict(found.by_file) == {
    number: count
    for number in range(len(files))
    if (count := sum(file == number for file, _ in expected))
  }
  assert [(pair.file, pair.record) for pair in found.pairs] == expected[:20]
  for pair in found.pairs:
    assert files[pair.file][pair.record] == files[pair.earlier_file][pair.earlier_record]
    assert (pair.earlier_file, pair.earlier_record) < (pair.file, pair.record)


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  assert found_in([list(range(50)), [7]], 10).count == 1
  assert os.listdir(tmp_path) == []


def test_no_room_for_the_hashes(monkeypatch):
  monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
  with pytest.raises(StorageError, match="/dev/null: hashes .* TMPDIR .*id_features=\\[\\]"):
    found_in([[1, 2]], 1)
