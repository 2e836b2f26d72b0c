"""The layers of the ranker, one concept a file. Every layer takes [batch, width] tensors."""
