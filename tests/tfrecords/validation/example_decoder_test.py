"""Tests of `tfrecords.validation.example_decoder`: a batch is what its records are one by one."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tfrecords import record_files
from tests.tfrecords.record_files import record
from tfrecords import schema
from tfrecords.schema import VARIABLE_LENGTH
from tfrecords.validation.example_decoder import ExampleDecoder
from tfrecords.validation.record_facts import facts_of

CASES = {
  "good": record(1),
  "other": record(2),
  "missing float": record(3, cont_vals=None),
  "missing integer and string": record(4, binary_vals=None, user__lang=None),
  "missing label": record(5, is_liked=None),
  "missing, and one unexpected instead": record(6, spare=None, other=[1.0]),
  "unexpected": record(7, other=[1], more=[b"x"]),
  "empty list": record(8, user__topics=[]),
  "wrong dtype": record(9, cont_vals=[1, 2, 3, 4, 5]),
  "wrong length": record(10, binary_vals=[1]),
  "two mistakes": record(11, binary_vals=[1], spare=[b"a"]),
  "no values": record(12, spare=[]),
  "no Example": b"\xff\xfe",
  "empty": b"",
  "NaN": record(13, cont_vals=[float("nan")] * 5),
}


@pytest.fixture(scope="module", name="features")
def features_fixture(tmp_path_factory):
  return schema.load_schema(str(record_files.write_schema(tmp_path_factory.mktemp("schema"))))


@pytest.fixture(scope="module", name="decoder")
def decoder_fixture(features):
  return ExampleDecoder(features)


@given(names=st.lists(st.sampled_from(sorted(CASES)), max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_batch_is_what_its_records_are_one_by_one(decoder, features, names):
  records = [CASES[name] for name in names]
  facts = [facts_of(serialized, features) for serialized in records]
  decoded = decoder.decode(tf.constant(records, tf.string, [len(records)]))
  good = [row for row, found in enumerate(facts) if not found.mistakes]
  assert decoded.rows.tolist() == good
  assert decoded.mistakes == [(row, m) for row, found in enumerate(facts) for m in found.mistakes]
  expected = [(row, name) for row in good for name in facts[row].unexpected]
  assert sorted(decoded.unexpected) == sorted(expected)
  for name, feature in features.items():
    absent = decoded.absent.get(name, np.zeros(len(good), bool))
    assert absent.tolist() == [name in facts[row].missing for row in good]
    if feature.length == VARIABLE_LENGTH:
      continue
    assert decoded.values[name].shape == (len(good), feature.length)
    for place, row in enumerate(good):
      found = tf.train.Example.FromString(records[row]).features.feature
      default = [b"" if feature.dtype == "bytes_list" else 0] * feature.length
      values = default if absent[place] else list(getattr(found[name], feature.dtype).value)
      np.testing.assert_array_equal(decoded.values[name][place].tolist(), values)


def test_what_is_wrong_in_words(features):
  def details(name):
    return [(m.kind, m.feature, m.detail) for m in facts_of(CASES[name], features).mistakes]

  assert details("wrong dtype") == [
    ("wrong_dtype", "cont_vals", "holds int64_list, allowed: float_list")
  ]
  assert details("wrong length") == [
    ("wrong_length", "binary_vals", "holds 1 value(s), allowed: 3")
  ]
  assert details("no Example") == [("unparsable", "", "no tf.Example")]
  assert [kind for kind, *_ in details("two mistakes")] == ["wrong_length", "wrong_dtype"]
  assert len(facts_of(b"", features).missing) == len(features)
