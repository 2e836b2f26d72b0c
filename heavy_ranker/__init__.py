"""The heavy ranker."""
import tfrecords  # noqa: F401
