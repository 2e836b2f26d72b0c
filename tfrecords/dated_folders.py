"""Which folders an explicit range of days or hours means: arithmetic only, nothing is read."""

import datetime
import posixpath

DATE_FORMAT = "YYYY/MM/DD"
HOUR_FORMAT = "YYYY/MM/DD/HH"


def parse_date(text: str) -> datetime.datetime:
  """Reads a day written as YYYY/MM/DD.

  Raises:
    ValueError: it is written otherwise, or there is no such day.
  """
  return datetime.datetime.strptime(text, "%Y/%m/%d")


def parse_hour(text: str) -> datetime.datetime:
  """Reads an hour written as YYYY/MM/DD/HH.

  Raises:
    ValueError: it is written otherwise, or there is no such hour.
  """
  return datetime.datetime.strptime(text, "%Y/%m/%d/%H")


def daily_folders(data_root: str, end: datetime.datetime, days: int) -> list[str]:
  """Returns `data_root/YYYY/MM/DD` of the `days` days that end with `end`, earliest first.

  Raises:
    OverflowError: the range begins before the year 1.
  """
  return [posixpath.join(data_root, _day(day)) for day in _range(end, days, hours=24)]


def hourly_folders(data_root: str, end: datetime.datetime, hours: int) -> list[str]:
  """Returns `data_root/YYYY/MM/DD/HH` of the `hours` hours that end with `end`, earliest first.

  Raises:
    OverflowError: the range begins before the year 1.
  """
  return [
    posixpath.join(data_root, _day(hour), f"{hour.hour:02d}")
    for hour in _range(end, hours, hours=1)
  ]


def require_range(end: datetime.datetime, steps: int, hours: int) -> None:
  """Checks that a range of `steps` times `hours` hours lies in the calendar.

  Raises:
    OverflowError: it begins before the year 1.
  """
  end - datetime.timedelta(hours=hours) * (steps - 1)


def _range(end: datetime.datetime, steps: int, hours: int) -> list[datetime.datetime]:
  require_range(end, steps, hours)
  step = datetime.timedelta(hours=hours)
  return [end - step * back for back in reversed(range(steps))]


def _day(day: datetime.datetime) -> str:
  # Not strftime: %Y leaves out leading zeros on some systems.
  return f"{day.year:04d}/{day.month:02d}/{day.day:02d}"
