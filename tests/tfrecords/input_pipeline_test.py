"""Tests of `tfrecords.input_pipeline`."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.tfrecords import record_files
from tests.tfrecords.record_files import author_ids, flat_author_ids, record
from tfrecords.errors import ConfigError, DataError
from tfrecords.input_pipeline import InputPipeline, make_dataset

# Of four files of three records each, with a shuffle buffer of five; two epochs.
PINNED = [[2, 1, 8, 0, 4, 3], [10, 7, 6, 9, 5, 11], [1, 0, 6, 11, 2, 10], [3, 5, 7, 8, 4, 9]]


@pytest.fixture(name="make")
def make_fixture(tmp_path):
  """Builds a pipeline of the files in tmp_path."""

  def make(mode, features=None, tasks=None, schema=None, **changes):
    config = record_files.data_config(tmp_path, schema, **changes)
    return InputPipeline(config, mode, features, tasks)

  return make


def take_ids(pipeline, n_batches):
  return author_ids(pipeline.dataset.take(n_batches))


# What a batch holds.


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB", ""])
def test_features_labels_and_weights_by_name(tmp_path, make, compression):
  record_files.write_shards(tmp_path, [4], compression)
  ((features, labels, weights),) = make("evaluate").dataset
  assert set(features) == {
    "continuous",
    "binary",
    "author_embedding",
    "meta__author_id",
    "user.topics",
    "user.lang",
  }
  np.testing.assert_array_equal(
    features["continuous"], [[index + step / 4 for step in range(5)] for index in range(4)]
  )
  assert features["binary"].dtype == tf.float32
  assert features["binary"].numpy().tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0]]
  assert features["meta__author_id"].dtype == tf.int64
  assert features["user.topics"].to_list() == [[], [0], [0, 1], []]
  assert {name: label.numpy().tolist() for name, label in labels.items()} == {
    "is_liked": [0, 1, 0, 1],
    "is_replied": [0, 0, 0, 1],
  }
  assert {name: weight.numpy().tolist() for name, weight in weights.items()} == {
    "is_liked": [4, 2, 4, 2],
    "is_replied": [8, 8, 8, 1],
  }
  assert {tensor.dtype for tensor in (*labels.values(), *weights.values())} == {tf.float32}


def test_an_uncompressed_file_that_begins_like_gzip(tmp_path, make):
  padding = 35615 - len(record(0, user__lang=[b"x" * 35000])) + 35000
  serialized = record(0, user__lang=[b"x" * padding])
  path = record_files.write_shard(tmp_path / "a.tfrecord", [serialized, record(1)])
  assert path.read_bytes()[:2] == b"\x1f\x8b"
  assert author_ids(make("evaluate").dataset) == [[0, 1]]


def test_files_of_every_compression_side_by_side(tmp_path, make):
  for index, compression in enumerate(["GZIP", "", "ZLIB"]):
    record_files.write_shard(tmp_path / f"{index}.tfrecord", [record(index)], compression)
  assert author_ids(make("evaluate").dataset) == [[0, 1, 2]]
  assert sorted(
    flat_author_ids(make("train", repeat_files=False, global_batch_size=3).dataset)
  ) == [
    0,
    1,
    2,
  ]


def test_numbers_that_are_none_and_rows_of_zeros_pass_unharmed(tmp_path, make):
  row = [float("nan"), float("inf"), float("-inf"), -0.0, 1e-45]
  zeros = {"cont_vals": [0.0] * 5, "binary_vals": [0] * 3, "author.vector": [0.0] * 2}
  records = [record(0, cont_vals=row), record(1, **zeros)]
  record_files.write_shard(tmp_path / "a.tfrecord", records)
  ((features, _, _),) = make("evaluate").dataset
  expected = np.array([row, [0.0] * 5], np.float32)
  assert features["continuous"].numpy().tobytes() == expected.tobytes()
  assert not features["author_embedding"].numpy()[1].any()


def test_features_a_record_lacks_read_as_zero(tmp_path, make):
  labels_only = record(0, **dict.fromkeys(["cont_vals", "binary_vals", "user.lang"]))
  record_files.write_shard(tmp_path / "a.tfrecord", [labels_only])
  ((features, _, _),) = make("evaluate").dataset
  assert features["continuous"].numpy().tolist() == [[0] * 5]
  assert features["binary"].numpy().tolist() == [[0] * 3]


def test_only_what_is_in_use_is_parsed(tmp_path, make):
  broken = record(0, spare=[b"no floats"], cont_vals=[1], is_replied=[9])
  record_files.write_shard(tmp_path / "a.tfrecord", [broken])
  pipeline = make("evaluate", iter(["binary"]), iter(["is_liked"]))
  with pipeline.explained():
    ((features, labels, weights),) = pipeline.dataset
  assert (set(features), set(labels), set(weights)) == ({"binary"}, {"is_liked"}, {"is_liked"})


def test_preprocessing_is_applied(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  section = {"truncate_and_slice": {"continuous_feature_truncation": 2}}
  ((features, _, _),) = make("evaluate", preprocess=section).dataset
  assert features["continuous"].shape == [4, 2]


def test_shapes(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  features, labels, _ = make("evaluate").dataset.element_spec
  assert features["continuous"].shape.as_list() == [None, 5]
  assert labels["is_liked"].shape.as_list() == [None]
  features, labels, _ = make("train").dataset.element_spec
  assert features["continuous"].shape.as_list() == [4, 5]
  assert labels["is_liked"].shape.as_list() == [4]


def test_parsing_comes_after_batching(tmp_path, make, monkeypatch):
  seen = []
  parse_example = tf.io.parse_example

  def watch(serialized, *args, **kwargs):
    seen.append(serialized.shape.as_list())
    return parse_example(serialized, *args, **kwargs)

  monkeypatch.setattr(tf.io, "parse_example", watch)
  record_files.write_shards(tmp_path, [4])
  list(make("evaluate").dataset)
  assert set(map(tuple, seen)) == {(None,)}


# Modes.


def test_evaluation_reads_everything_once_in_order(tmp_path, make):
  record_files.write_shards(tmp_path, [3, 1, 6])
  pipeline = make("evaluate", examples_shuffle_buffer_size=100)
  expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
  assert author_ids(pipeline.dataset) == expected
  assert author_ids(pipeline.dataset) == expected


@pytest.mark.parametrize("batch_size", [3, 128, 200, 1000])
def test_evaluation_keeps_the_order_where_files_and_blocks_and_batches_end(
  tmp_path, make, batch_size
):
  record_files.write_shards(tmp_path, [300, 1, 128, 2, 40], "GZIP")
  found = author_ids(make("evaluate", ["meta__author_id"], global_batch_size=batch_size).dataset)
  assert list(itertools.chain(*found)) == list(range(471))
  assert {len(ids) for ids in found[:-1]} <= {batch_size}


def test_evaluation_of_less_than_a_batch(tmp_path, make):
  record_files.write_shards(tmp_path, [3])
  assert author_ids(make("evaluate", global_batch_size=100).dataset) == [[0, 1, 2]]


def test_prediction_needs_no_labels(tmp_path, make):
  unlabelled = [record(index, is_liked=None, is_replied=[9]) for index in range(5)]
  record_files.write_shard(tmp_path / "a.tfrecord", unlabelled)
  batches = list(make("predict").dataset)
  assert author_ids(batches) == [[0, 1, 2, 3], [4]]
  assert all(labels == weights == {} for _, labels, weights in batches)


def test_training_drops_the_remainder_of_all(tmp_path, make):
  record_files.write_shards(tmp_path, [5, 6])
  found = author_ids(make("train", repeat_files=False).dataset)
  assert [len(ids) for ids in found] == [4, 4]
  assert len(set(itertools.chain(*found))) == 8


@pytest.mark.parametrize("buffer", [0, 1, 3, 100])
@pytest.mark.parametrize("sizes", [[12], [7, 5], [1, 2, 3, 1, 2, 1, 1, 1]])
def test_training_reads_every_record_once_an_epoch(tmp_path, make, sizes, buffer):
  record_files.write_shards(tmp_path, sizes)
  pipeline = make("train", examples_shuffle_buffer_size=buffer)
  for epoch in np.reshape(take_ids(pipeline, 9), [3, 12]):
    assert sorted(epoch) == list(range(12))


def test_a_batch_may_lie_in_two_epochs(tmp_path, make):
  record_files.write_shards(tmp_path, [6])
  found = list(itertools.chain(*take_ids(make("train", examples_shuffle_buffer_size=6), 3)))
  assert sorted(found[:6]) == sorted(found[6:]) == list(range(6))


def test_the_order_of_training_is_pinned(tmp_path, make):
  record_files.write_shards(tmp_path, [3, 3, 3, 3])
  pipeline = make("train", examples_shuffle_buffer_size=5, global_batch_size=6)
  assert take_ids(pipeline, 4) == PINNED


def test_every_run_has_the_same_order(tmp_path, make):
  record_files.write_shards(tmp_path, [5, 5, 2])
  options = {"examples_shuffle_buffer_size": 4, "shuffle_seed": 3}
  first = take_ids(make("train", **options), 9)
  assert take_ids(make("train", **options), 9) == first
  assert take_ids(make("train", map_num_parallel_calls=1, **options), 9) == first


def test_records_taken_some_at_a_time_can_be_continued_and_are_all_there(tmp_path, make):
  (tmp_path / "data").mkdir()
  record_files.write_shards(tmp_path / "data", [90, 33, 47, 10])
  options = {
    "inputs": str(tmp_path / "data" / "*"),
    "examples_shuffle_buffer_size": 50,
    "global_batch_size": 60,
    "interleave_num_parallel_calls": 2,
  }
  features = ["meta__author_id"]
  expected = take_ids(make("train", features, **options), 9)
  for epoch in range(3):
    assert sorted(itertools.chain(*expected[3 * epoch : 3 * epoch + 3])) == list(range(180))
  for taken in (1, 2, 3):
    iterator = iter(make("train", features, **options).dataset)
    author_ids(itertools.islice(iterator, taken))
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
    resumed = iter(make("train", features, **options).dataset)
    tf.train.Checkpoint(iterator=resumed).read(path)
    assert author_ids(itertools.islice(resumed, 9 - taken)) == expected[taken:]


def test_another_seed_has_another_order(tmp_path, make):
  record_files.write_shards(tmp_path, [6, 6])
  orders = {
    str(take_ids(make("train", examples_shuffle_buffer_size=12, shuffle_seed=seed), 3))
    for seed in range(4)
  }
  assert len(orders) == 4


def test_every_epoch_has_another_order(tmp_path, make):
  record_files.write_shards(tmp_path, [1] * 12)
  for buffer in (0, 12):
    found = take_ids(make("train", examples_shuffle_buffer_size=buffer), 12)
    assert len(set(map(tuple, np.reshape(found, [4, 12])))) == 4


def test_without_a_buffer_the_files_are_still_shuffled(tmp_path, make):
  record_files.write_shards(tmp_path, [1] * 8)
  assert take_ids(make("train"), 2) != [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_files_are_read_side_by_side(tmp_path, make):
  record_files.write_shards(tmp_path, [16, 16])
  (ids,) = take_ids(make("train", global_batch_size=16), 1)
  assert sorted(ids) == [*range(8), *range(16, 24)]
  (ids,) = take_ids(make("train", global_batch_size=16, interleave_num_parallel_calls=1), 1)
  assert sorted(ids) in ([*range(16)], [*range(16, 32)])


@pytest.mark.parametrize("batch_size", [32, 64])
def test_a_batch_holds_as_many_records_of_every_file_read_side_by_side(tmp_path, make, batch_size):
  record_files.write_shards(tmp_path, [64] * 4)
  options = {"global_batch_size": batch_size, "interleave_num_parallel_calls": 4}
  for ids in take_ids(make("train", ["meta__author_id"], **options), 256 // batch_size):
    assert np.bincount(np.array(ids) // 64, minlength=4).tolist() == [batch_size // 4] * 4


def test_the_order_does_not_depend_on_the_batch_size(tmp_path, make):
  record_files.write_shards(tmp_path, [20, 30, 10])
  small, large = (
    list(itertools.chain(*take_ids(make("train", global_batch_size=size), 60 // size)))
    for size in (4, 20)
  )
  assert small == large


def test_the_number_of_files_can_be_limited(tmp_path, make):
  record_files.write_shards(tmp_path, [3, 2, 4])
  pipeline = make("evaluate", num_files_to_keep=2)
  assert [shard.path for shard in pipeline.shards] == [
    str(tmp_path / "part-0.tfrecord"),
    str(tmp_path / "part-1.tfrecord"),
  ]
  assert flat_author_ids(pipeline.dataset) == [0, 1, 2, 3, 4]


def test_without_repetition_training_ends(tmp_path, make):
  record_files.write_shards(tmp_path, [6, 2])
  pipeline = make("train", repeat_files=False, examples_shuffle_buffer_size=3)
  assert sorted(flat_author_ids(pipeline.dataset)) == list(range(8))


def test_sampling_is_corrected_once(tmp_path, make):
  record_files.write_shards(tmp_path, [4])

  def weights_of(mode, correction):
    ((_, labels, weights),) = make(mode, sampling_correction=correction).dataset.take(1)
    return labels["is_liked"].numpy(), weights["is_liked"].numpy()

  for mode, correction in (
    ("train", "weights"),
    ("evaluate", "weights"),
    ("evaluate", "calibration"),
  ):
    labels, weights = weights_of(mode, correction)
    np.testing.assert_array_equal(weights, np.where(labels == 1, 2.0, 4.0))
  _, weights = weights_of("train", "calibration")
  assert weights.tolist() == [1.0] * 4


def test_missing_labels_may_count_as_negatives(tmp_path, make):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(1, is_liked=None), record(1)])
  ((_, labels, weights),) = make("evaluate", missing_labels="zero").dataset
  assert labels["is_liked"].numpy().tolist() == [0, 1]
  assert weights["is_liked"].numpy().tolist() == [4, 2]


def test_missing_labels_of_other_tasks_do_no_harm(tmp_path, make):
  record_files.write_shard(tmp_path / "a.tfrecord", [record(1, is_liked=None)])
  ((_, labels, _),) = make("evaluate", tasks=["is_replied"]).dataset
  assert set(labels) == {"is_replied"}


def test_make_dataset(tmp_path):
  record_files.write_shards(tmp_path, [5])
  dataset = make_dataset(record_files.data_config(tmp_path), "evaluate")
  assert isinstance(dataset, tf.data.Dataset)
  assert author_ids(dataset) == [[0, 1, 2, 3], [4]]


# Checkpoints of the position.


@pytest.mark.parametrize("buffer", [0, 6, 40])
def test_reading_continues_from_a_checkpoint(tmp_path, make, buffer):
  (tmp_path / "data").mkdir()
  record_files.write_shards(tmp_path / "data", [5, 4, 6], "GZIP")
  options = {"inputs": str(tmp_path / "data" / "*"), "examples_shuffle_buffer_size": buffer}
  uninterrupted = take_ids(make("train", **options), 25)

  iterator = iter(make("train", **options).dataset)
  checkpoint = tf.train.Checkpoint(iterator=iterator)
  stops = {}
  for position in range(12):
    if position in (0, 1, 4, 11):
      stops[position] = checkpoint.save(str(tmp_path / "checkpoint"))
    assert author_ids([next(iterator)]) == [uninterrupted[position]]

  for position, path in stops.items():
    resumed = iter(make("train", **options).dataset)
    tf.train.Checkpoint(iterator=resumed).restore(path).expect_partial()
    assert author_ids(itertools.islice(resumed, 25 - position)) == uninterrupted[position:]


# What cannot be used.


def complaint(kind, make, *args, **options):
  with pytest.raises(kind) as caught:
    make(*args, **options)
  return str(caught.value)


def test_a_batch_larger_than_the_data(tmp_path, make):
  record_files.write_shards(tmp_path, [3, 4])
  message = complaint(DataError, make, "train", global_batch_size=8)
  assert message == (
    "train_data.global_batch_size: found 8, allowed: at most 7, which is all the records in the "
    "2 file(s) of train_data.inputs"
  )
  make("train", global_batch_size=7)


def test_damage_found_while_counting_is_explained(tmp_path, make):
  (path,) = record_files.write_shards(tmp_path, [3])
  path.write_bytes(record_files.flip(path.read_bytes(), -1))
  assert complaint(DataError, make, "train").startswith(f"{path}: record 2: ")


def test_truncation_beyond_the_schema(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  section = {"truncate_and_slice": {"binary_feature_truncation": 4}}
  message = complaint(ConfigError, make, "evaluate", preprocess=section)
  assert "train_data.preprocess.truncate_and_slice.binary_feature_truncation: found 4" in message


def test_preprocessing_of_features_not_in_use_is_not_checked(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  section = {"truncate_and_slice": {"binary_feature_truncation": 4}}
  make("evaluate", ["continuous"], preprocess=section)


def test_an_unknown_feature(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  message = complaint(ConfigError, make, "evaluate", ["continous"])
  assert message.startswith("train_data.seg_dense_schema: 'continous' is needed and missing")
  assert "did you mean 'continuous'?" in message


def test_a_task_the_data_lacks(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  message = complaint(ConfigError, make, "evaluate", tasks=["is_replid"])
  assert message.startswith("train_data.tasks: 'is_replid' is needed and missing")
  assert "did you mean 'is_replied'?" in message


def test_an_unknown_mode(tmp_path, make):
  record_files.write_shards(tmp_path, [4])
  assert "allowed: train, evaluate, predict" in complaint(ValueError, make, "eval")


def test_no_files(tmp_path, make):
  assert complaint(DataError, make, "evaluate").startswith("train_data.inputs: no file matches ")


def test_an_unset_variable_in_the_glob(make):
  message = complaint(ConfigError, make, "evaluate", inputs="$NO_SUCH_PLACE/*.gz")
  assert "NO_SUCH_PLACE, which is not set" in message


@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"ignore_data_errors": True},
    {
      "preprocess": {
        "downsample_negatives": {
          "batch_multiplier": 2,
          "engagements_list": ["is_liked"],
          "num_engagements": 1,
        }
      }
    },
  ],
  ids=["plain", "ignored_errors", "downsampled"],
)
def test_every_example_can_say_where_its_record_lies(tmp_path, changes):
  record_files.write_shards(tmp_path, [9, 7])
  config = record_files.data_config(tmp_path, examples_shuffle_buffer_size=5, **changes)
  pipeline = InputPipeline(config, "train", ["meta__author_id"], with_places=True)
  for features, _, _, places in pipeline.dataset.take(3):
    first = np.array([0, 9])[places["file"].numpy()]
    author_ids = features["meta__author_id"].numpy()[:, 0]
    np.testing.assert_array_equal(first + places["position"].numpy(), author_ids)
    assert places["file"].dtype == places["position"].dtype == tf.int64
