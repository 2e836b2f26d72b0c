"""Tests, file by file beside what they test: tests/PACKAGE/MODULE_test.py."""
