"""The training loop under a distribution strategy: losses, optimizer, checkpoints, logs."""
