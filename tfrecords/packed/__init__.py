"""Packed records: what a model reads of its records, after preprocessing, dense and in blocks."""
