"""From a checkpoint to what TensorFlow Serving loads."""
