"""Evaluation without its report, for tests of what is measured or trained.

To draw the report takes longer than to measure a small model.
"""

import pytest

from heavy_ranker.evaluation import report


def leave_report_out(monkeypatch: pytest.MonkeyPatch) -> None:
  """Makes evaluations of this test write no report.html."""
  monkeypatch.setattr(report, "write_report", lambda save_dir: None)
