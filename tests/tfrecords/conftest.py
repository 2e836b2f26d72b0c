import tfrecords  # noqa: F401 - settles TensorFlow's environment before a test imports TensorFlow.
