"""Scores files of records without a server: one file of scores for each file of records."""
