"""Runs pytest on the files named on the command line, the way `bazel test` expects it."""

import os
import sys

import pytest


def main(argv: list[str]) -> int:
  """Runs pytest with what Bazel asks for in the environment; returns the exit code."""
  args = ["-p", "no:cacheprovider", "--durations=3", "--durations-min=5"]
  if os.environ.get("TEST_TMPDIR"):
    args.append("--basetemp=" + os.path.join(os.environ["TEST_TMPDIR"], "pytest"))
  if os.environ.get("XML_OUTPUT_FILE"):
    args.append("--junitxml=" + os.environ["XML_OUTPUT_FILE"])
  test_filter = os.environ.get("TESTBRIDGE_TEST_ONLY")  # bazel test --test_filter=...
  if test_filter:
    args += ["-k", test_filter]
  exit_code = pytest.main(args + argv)
  if test_filter and exit_code == pytest.ExitCode.NO_TESTS_COLLECTED:
    return 0
  return exit_code


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
