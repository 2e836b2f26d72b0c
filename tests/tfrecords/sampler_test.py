"""Tests of `tfrecords.sampler` and of the section it reads."""

import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import flat_author_ids, record
from tfrecords.config.sampler import SamplerConfig
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline
from tfrecords.sampler import Sampler


def section(rate=0.5, seed=0, *engagements):
  kwargs = {"rate": rate, "seed": seed}
  if engagements:
    return {"name": "negatives", "kwargs": {**kwargs, "engagements_list": list(engagements)}}
  return {"name": "share", "kwargs": kwargs}


def drawn(rate, seed=0, count=20_000, name="a"):
  config = validate(SamplerConfig, section(rate, seed), "test")
  positions = tf.range(count, dtype=tf.int64)
  return Sampler(config, "key").is_drawn(tf.fill([count], name), positions).numpy()


def ids(folder, mode="evaluate", **changes):
  config = record_files.data_config(folder, **changes)
  return flat_author_ids(InputPipeline(config, mode).dataset)


@pytest.mark.parametrize("rate", [1e-9, 0.01, 0.3, 0.9, 1.0])
def test_the_share_is_the_rate(rate):
  deviation = (rate * (1 - rate) / 20_000) ** 0.5
  assert abs(drawn(rate).mean() - rate) <= 4 * deviation


def test_a_smaller_share_is_part_of_a_larger_one():
  assert not (drawn(0.2) & ~drawn(0.5)).any()


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "b"}])
def test_seeds_and_files_are_drawn_independently(other):
  both = (drawn(0.5) & drawn(0.5, **other)).mean()
  assert abs(both - 0.25) < 0.02


def test_which_records_are_drawn_is_pinned():
  assert drawn(0.5, 7, 12).nonzero()[0].tolist() == [0, 2, 4, 5, 8, 9, 10, 11]


def test_moving_the_data_or_adding_files_changes_nothing(tmp_path):
  (tmp_path / "a").mkdir()
  (tmp_path / "b").mkdir()
  record_files.write_shards(tmp_path / "a", [20, 20])
  before = ids(tmp_path / "a", sampler=section())
  assert 0 < len(before) < 40
  for path in (tmp_path / "a").glob("*.tfrecord"):
    path.rename(tmp_path / "b" / path.name)
  record_files.write_shard(tmp_path / "b" / "first.tfrecord", [record(99)] * 9)
  assert [index for index in ids(tmp_path / "b", sampler=section()) if index != 99] == before


def test_positives_of_any_listed_task_are_kept_though_others_are_in_use(tmp_path):
  record_files.write_shards(tmp_path, [40])
  config = record_files.data_config(tmp_path, sampler=section(0.1, 0, "is_liked", "is_replied"))
  pipeline = InputPipeline(config, "evaluate", ["meta__author_id"], ["is_replied"])
  found = flat_author_ids(pipeline.dataset)
  assert set(range(1, 40, 2)) <= set(found)
  assert len(found) < 30


def test_prediction_leaves_nothing_out(tmp_path):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(1, is_liked=None)] * 30)
  assert len(ids(tmp_path, "predict", sampler=section(0.1, 0, "is_liked"))) == 30


def test_a_batch_larger_than_what_is_left(tmp_path):
  record_files.write_shards(tmp_path, [40])
  with pytest.raises(DataError, match="allowed: at most 0, .*those the sampler keeps"):
    ids(tmp_path, "train", sampler=section(1e-9))


@pytest.mark.parametrize(
  "sampler, message",
  [
    ({"name": "shar", "kwargs": {"rate": 1}}, "name: found 'shar', .*did you mean 'share'"),
    ({"name": ["share"], "kwargs": {"rate": 1}}, "name: found"),
    ({"kwargs": {"rate": 1}}, "name: found nothing"),
    ({"name": "share"}, "kwargs: found nothing"),
    ({"name": "share", "kwargs": {}}, "kwargs.rate: found nothing"),
    ({"name": "share", "kwargs": {"rat": 1}}, "kwargs.rat: unknown key, did you mean 'rate'"),
    ({"name": "share", "kwargs": {"rate": 0}}, "kwargs.rate: found 0"),
    ({"name": "share", "kwargs": {"rate": 1.5}}, "kwargs.rate: found 1.5"),
    ({"name": "share", "kwargs": {"rate": 1, "seed": -1}}, "kwargs.seed: found -1"),
    (section(0.5, 0, "a") | {"name": "share"}, "kwargs.engagements_list: found"),
    (section() | {"name": "negatives"}, "kwargs.engagements_list: found nothing"),
    (section(0.5, 0, "is_liket"), "engagements_list: found 'is_liket'.*did you mean 'is_liked'"),
    ("share", "found 'share'"),
  ],
)
def test_mistakes_are_named(tmp_path, sampler, message):
  record_files.write_shards(tmp_path, [4])
  with pytest.raises(ConfigError, match=f"sampler.*{message}"):
    ids(tmp_path, sampler=sampler)
