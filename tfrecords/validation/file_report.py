"""What was found in one file."""

from collections import Counter
from dataclasses import dataclass, field

# So many places of each problem are kept; all are counted.
KEPT_PLACES = 20


@dataclass(frozen=True)
class Place:
  """Where a problem is.

  Attributes:
    offset: in bytes from the beginning of the file's content, which is decompressed; -1: unknown.
    record: the record's place in the file, from 0; -1 when it is about no record.
  """

  offset: int
  record: int


@dataclass
class Problem:
  """The same thing wrong, so many times in a file.

  Attributes:
    kind: see `tfrecords.config.checks`.
    feature: its name in the record; empty when it is about no feature.
    detail: in words.
    count: how often.
    places: the first KEPT_PLACES of them.
  """

  kind: str
  feature: str
  detail: str
  count: int = 0
  places: list[Place] = field(default_factory=list)


@dataclass
class LabelCounts:
  """How often a label has which value, among the records that can be read."""

  negatives: int = 0
  positives: int = 0
  others: int = 0
  missing: int = 0

  @property
  def valid(self) -> int:
    """How often it is 0 or 1."""
    return self.negatives + self.positives

  @property
  def rate(self) -> float:
    """The share of positives among the valid ones; NaN if there are none."""
    return self.positives / self.valid if self.valid else float("nan")

  def add(self, other: "LabelCounts") -> None:
    """Adds another file's."""
    self.negatives += other.negatives
    self.positives += other.positives
    self.others += other.others
    self.missing += other.missing


@dataclass
class FileReport:
  """What was found in one file. Features have their names in the record.

  Attributes:
    path: where it lies.
    n_bytes: its size.
    compression: "GZIP", "ZLIB" or ""; by its content, not by its name.
    n_records: records, damaged ones included.
    n_readable: those that match their checksum and the schema's dtypes and lengths.
    lost_bytes: of the content, in which no record could be found.
    problems: by kind, feature and detail.
    missing: feature -> how many of the readable records lack it.
    n_values: float feature -> how many values the readable records have of it.
    non_finite: float feature -> how many of them are NaN or infinite.
    labels: label -> its values.
    n_duplicates: records whose ids an earlier record has, in this file or one before it.
  """

  path: str
  n_bytes: int = 0
  compression: str = ""
  n_records: int = 0
  n_readable: int = 0
  lost_bytes: int = 0
  problems: dict[tuple[str, str, str], Problem] = field(default_factory=dict)
  missing: Counter = field(default_factory=Counter)
  n_values: Counter = field(default_factory=Counter)
  non_finite: Counter = field(default_factory=Counter)
  labels: dict[str, LabelCounts] = field(default_factory=dict)
  n_duplicates: int = 0

  def add_problem(
    self, kind: str, feature: str = "", detail: str = "", offset: int = -1, record: int = -1
  ) -> None:
    """Takes note of something wrong."""
    problem = self.problems.setdefault((kind, feature, detail), Problem(kind, feature, detail))
    problem.count += 1
    if len(problem.places) < KEPT_PLACES and (offset >= 0 or record >= 0):
      problem.places.append(Place(int(offset), int(record)))

  def count(self, *kinds: str) -> int:
    """Returns how often the problems of these kinds were found."""
    return sum(problem.count for problem in self.problems.values() if problem.kind in kinds)
