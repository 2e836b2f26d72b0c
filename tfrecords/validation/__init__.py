"""Validation of records: what is wrong with files, and how far they are from a baseline."""
