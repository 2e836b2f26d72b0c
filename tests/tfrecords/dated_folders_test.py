"""Tests of `tfrecords.dated_folders`, and of sections that read such folders."""

import pytest

from tests.tfrecords import record_files
from tests.tfrecords.record_files import flat_author_ids, record
from tfrecords import dated_folders
from tfrecords.config.data import DataConfig, ExplicitDateInputs
from tfrecords.config.strict_model import validate
from tfrecords.errors import ConfigError, DataError
from tfrecords.generator import generate
from tfrecords.input_pipeline import InputPipeline


def hours(end, steps):
  return dated_folders.hourly_folders("root", dated_folders.parse_hour(end), steps)


def days(end, steps):
  return dated_folders.daily_folders("root", dated_folders.parse_date(end), steps)


def test_hours_end_with_the_last_one():
  assert hours("2023/03/01/01", 3) == [
    "root/2023/02/28/23",
    "root/2023/03/01/00",
    "root/2023/03/01/01",
  ]
  assert hours("2023/03/01/01", 1) == ["root/2023/03/01/01"]


def test_days_end_with_the_last_one():
  assert days("2024/03/01", 3) == ["root/2024/02/28", "root/2024/02/29", "root/2024/03/01"]
  assert days("2023/01/01", 2) == ["root/2022/12/31", "root/2023/01/01"]


def test_names_are_padded_and_sorted_by_time():
  assert hours("2023/3/1/1", 1) == ["root/2023/03/01/01"]
  assert days("0001/01/02", 2) == ["root/0001/01/01", "root/0001/01/02"]
  found = hours("2024/01/02/03", 24 * 400)
  assert found == sorted(set(found)) and len(found) == 24 * 400


def test_before_the_calendar():
  for range_of, end in ((hours, "0001/01/01/00"), (days, "0001/01/01")):
    assert len(range_of(end, 1)) == 1
    with pytest.raises(OverflowError):
      range_of(end, 2)


@pytest.fixture(name="write")
def write_fixture(tmp_path):
  """Writes a file of the records of these author ids below tmp_path/data."""

  def write(name, *ids):
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return record_files.write_shard(path, [record(index) for index in ids])

  return write


@pytest.fixture(name="daily")
def daily_fixture(tmp_path):
  def make(days, tolerance=0, mode="evaluate", **changes):
    section = {
      "data_root": str(tmp_path / "data"),
      "end_date": "2023/03/01",
      "days": days,
      "num_missing_days_tol": tolerance,
    }
    config = record_files.data_config(
      tmp_path, inputs=None, explicit_date_inputs=section, global_batch_size=2, **changes
    )
    return InputPipeline(config, mode)

  return make


@pytest.fixture(name="hourly")
def hourly_fixture(tmp_path):
  def make(hours, tolerance=0, **changes):
    section = {
      "data_root": str(tmp_path / "data"),
      "end_datetime": "2023/03/01/00",
      "hours": hours,
      "num_missing_hours_tol": tolerance,
    }
    config = record_files.data_config(
      tmp_path, inputs=None, explicit_datetime_inputs=section, **changes
    )
    return InputPipeline(config, "evaluate")

  return make


def test_a_range_of_days_is_read(write, daily):
  write("2023/02/27/a", 9)
  write("2023/02/28/b", 2)
  write("2023/02/28/a", 0, 1)
  write("2023/03/01/a", 3)
  write("2023/03/02/a", 9)
  assert flat_author_ids(daily(2).dataset) == [0, 1, 2, 3]
  assert sorted(flat_author_ids(daily(2, mode="train", repeat_files=False).dataset)) == [0, 1, 2, 3]


def test_a_range_of_hours_is_read(write, hourly):
  write("2023/02/28/22/a", 9)
  write("2023/02/28/23/a", 0)
  write("2023/03/01/00/a", 1)
  write("2023/03/01/01/a", 9)
  assert flat_author_ids(hourly(2).dataset) == [0, 1]


def test_the_number_of_files_counts_from_the_earliest(write, daily):
  write("2023/02/28/a", 0)
  write("2023/02/28/b", 1)
  write("2023/03/01/a", 2)
  assert flat_author_ids(daily(2, num_files_to_keep=2).dataset) == [0, 1]


def test_hidden_files_and_folders_are_left_out(write, daily, hourly, tmp_path):
  write("2023/03/01/a", 0)
  (tmp_path / "data/2023/03/01/.a.1234.partial").write_bytes(b"half a shard")
  write("2023/03/01/00/a", 1)
  assert flat_author_ids(daily(1).dataset) == [0]
  assert flat_author_ids(hourly(1).dataset) == [1]


def test_missing_and_empty_folders_within_the_tolerance(write, daily, tmp_path):
  write("2023/03/01/a", 0)
  (tmp_path / "data/2023/02/28").mkdir(parents=True)
  assert flat_author_ids(daily(3, tolerance=2).dataset) == [0]
  with pytest.raises(DataError) as caught:
    daily(3, tolerance=1)
  root = tmp_path / "data" / "2023" / "02"
  assert str(caught.value) == (
    "train_data.explicit_date_inputs: 2 of 3 folders are missing or hold no file, allowed: 1: "
    f"{root / '27'}, {root / '28'}. Fill them, or go without them with --set "
    "train_data.explicit_date_inputs.num_missing_days_tol=2"
  )


def test_a_missing_hour(write, hourly, tmp_path):
  write("2023/02/28/23/a", 0)
  with pytest.raises(DataError) as caught:
    hourly(2)
  message = str(caught.value)
  assert message.startswith("train_data.explicit_datetime_inputs: 1 of 2 folders")
  assert str(tmp_path / "data/2023/03/01/00") in message
  assert "num_missing_hours_tol=1" in message
  assert flat_author_ids(hourly(2, tolerance=1).dataset) == [0]


def test_without_any_file_no_tolerance_helps(daily):
  with pytest.raises(
    DataError, match="no folder holds a file.*explicit_date_inputs.data_root=PATH"
  ):
    daily(2, tolerance=2)


def test_a_file_that_holds_no_records(write, daily):
  write("2023/03/01/a", 0).write_bytes(b"")
  with pytest.raises(DataError, match="a: the file is empty"):
    daily(1)


def test_a_batch_larger_than_the_data(write, daily):
  write("2023/03/01/a", 0)
  with pytest.raises(DataError, match=r"the 1 file\(s\) of train_data.explicit_date_inputs$"):
    daily(1, mode="train")


def test_an_unset_variable(tmp_path):
  section = {"data_root": "$NO_SUCH_PLACE/x", "end_date": "2023/03/01", "days": 1}
  config = record_files.data_config(tmp_path, inputs=None, explicit_date_inputs=section)
  with pytest.raises(ConfigError, match="explicit_date_inputs.data_root: .*NO_SUCH_PLACE"):
    InputPipeline(config, "evaluate")


def test_random_records_need_a_glob(tmp_path):
  section = {"data_root": str(tmp_path), "end_date": "2023/03/01", "days": 1}
  config = record_files.data_config(tmp_path, inputs=None, explicit_date_inputs=section)
  with pytest.raises(ConfigError, match="train_data.inputs: found no glob of files"):
    generate(config, 4)


def complaint(**section):
  with pytest.raises(ConfigError) as caught:
    validate(DataConfig, {"global_batch_size": 1, "tasks": {"a": {}}, **section}, "file")
  return str(caught.value)


@pytest.mark.parametrize("end", ["2023-03-01", "2023/02/29", "2023/03/01/00", "", "d", 20230301])
def test_a_date_that_is_none(end):
  message = complaint(explicit_date_inputs={"data_root": "x", "end_date": end, "days": 1})
  assert f"explicit_date_inputs.end_date: found {end!r} (" in message
  assert "allowed: YYYY/MM/DD\n" in message


@pytest.mark.parametrize("end", ["2023/03/01", "2023/03/01/24", "2023/03/01 00:00", 7])
def test_an_hour_that_is_none(end):
  message = complaint(explicit_datetime_inputs={"data_root": "x", "end_datetime": end, "hours": 1})
  assert f"explicit_datetime_inputs.end_datetime: found {end!r} (" in message
  assert "allowed: YYYY/MM/DD/HH\n" in message


@pytest.mark.parametrize(
  ("days", "allowed"),
  [(10**5, "as many as"), (10**6, "less than or equal to"), (10**12, "less than or equal to")],
)
def test_more_days_than_there_were(days, allowed):
  section = {"data_root": "x", "end_date": "0100/03/01", "days": days}
  with pytest.raises(ConfigError, match=rf"days: found {days}( \(int\))?, allowed: {allowed}"):
    validate(ExplicitDateInputs, section, "file")
