"""Comes before the tests' own imports: heavy_ranker settles TensorFlow's environment first."""

import heavy_ranker  # noqa: F401
