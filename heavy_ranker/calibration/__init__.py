"""Logits -> probabilities that can be believed: undoes sampling, applies what was fitted after."""
