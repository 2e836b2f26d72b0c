"""Evaluation of the heavy ranker: metrics, the evaluation loop and its report."""
