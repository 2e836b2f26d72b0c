"""Benchmarks: what the configurations under `configs/architectures` are worth, on planted data."""

import tfrecords  # noqa: F401 - settles TensorFlow's environment before TensorFlow is imported.
