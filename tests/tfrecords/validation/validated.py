"""Small records, validated."""

from tests.tfrecords.record_files import data_config, record, write_shard
from tfrecords.validation.subject import subject_of_section
from tfrecords.validation.validator import validate_subject


def write_records(folder, *files, compression=""):
  """Writes a file of each list of records: part-0.tfrecord and so on."""
  folder.mkdir(exist_ok=True)
  for number, records in enumerate(files):
    write_shard(folder / f"part-{number}.tfrecord", records, compression)


def records(n, first=0, **changes):
  """Returns records with author ids of their own and one label in four positive."""
  return [
    record(index, is_liked=[int(index % 4 == 0)], **changes) for index in range(first, first + n)
  ]


def subject_of(folder, checks=None, **changes):
  """Returns a data section that reads the folder; author ids say which record it is."""
  checks = {"id_features": ["meta__author_id"], **(checks or {})}
  return subject_of_section(data_config(folder, checks=checks, **changes), "train_data")


def validated(folder, checks=None, baseline=None, save_to=None, **changes):
  """Returns what is found in a folder's records."""
  return validate_subject(subject_of(folder, checks, **changes), baseline, save_to)


def kinds(validation):
  """Returns (severity, kind, feature) of the findings, in order."""
  return [(found.severity, found.kind, found.feature) for found in validation.findings]
