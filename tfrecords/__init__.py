"""Sharded TFRecords: schema, parsing, preprocessing, the input pipeline and data generators.

This package knows records and nothing of any model.
"""

from tfrecords import tensorflow_environment

tensorflow_environment.prepare()
