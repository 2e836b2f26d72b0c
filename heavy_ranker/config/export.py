"""The `export` section: what a SavedModel is made of."""

from heavy_ranker.config.export_precision import ExportPrecision


class ExportConfig(ExportPrecision):
  """What `//heavy_ranker:export` writes."""
