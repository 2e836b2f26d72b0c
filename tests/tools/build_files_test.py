import pytest

from tools import build_files

_FILES = {
  "BUILD": '"//pkg:sources" "//tests:sources"',
  "pkg/__init__.py": "",
  "pkg/library.py": 'BAZEL_DATA = ["//configs:all"]',
  "pkg/command.py": "from pkg import library\nif __name__ == '__main__':\n  pass",
  "pkg/tested.py": "if __name__ == '__main__':\n  pass",
  "tests/pytest_main.py": "if __name__ == '__main__':\n  pass",
  "tests/pkg/tested_test.py": "from pkg import tested\nBAZEL_TAGS = ['exclusive']",
  "tests/quick/a_test.py": "BAZEL_DATA = ['//configs:all']",
  "tests/quick/b_test.py": "from pkg import library",
  "tests/quick/slow_test.py": "BAZEL_SIZE = 'large'",
  "tests/end_to_end/all_test.py": "",
  "tests/end_to_end/small_test.py": "BAZEL_SIZE = 'small'",
}

_PKG = """\
package(default_visibility = ["//visibility:public"])

py_library(
    name = "__init__",
    srcs = ["__init__.py"],
)

py_binary(
    name = "command",
    srcs = ["command.py"],
    deps = [
        ":__init__",
        ":library",
    ],
)

py_library(
    name = "library",
    srcs = ["library.py"],
    data = ["//configs:all"],
    deps = [":__init__"],
)

py_library(
    name = "tested_lib",
    srcs = ["tested.py"],
    deps = [":__init__"],
)

py_binary(
    name = "tested",
    srcs = ["tested.py"],
    deps = [":tested_lib"],
)

filegroup(
    name = "sources",
    srcs = glob(["*.py"]) + ["BUILD"],
)
"""

_TESTS_PKG = """\
load("//tools:pytest.bzl", "pytest_test")

package(default_visibility = ["//visibility:public"])

pytest_test(
    name = "tested_test",
    size = "medium",
    tags = ["exclusive"],
    deps = ["//pkg:tested_lib"],
)

filegroup(
    name = "sources",
    srcs = glob(["*.py"]) + ["BUILD"],
)
"""

_QUICK = """\
pytest_tests(
    name = "quick_tests",
    size = "large",
    srcs = [
        "a_test.py",
        "b_test.py",
    ],
    data = ["//configs:all"],
    deps = ["//pkg:library"],
)
"""

_TESTS = """\
package(default_visibility = ["//visibility:public"])

exports_files(["pytest_main.py"])

filegroup(
    name = "sources",
    srcs = glob(["*.py"]) + [
        "BUILD",
        "//tests/end_to_end:sources",
        "//tests/pkg:sources",
        "//tests/quick:sources",
    ],
)
"""


@pytest.fixture
def root(repository):
  return repository(_FILES)


def _text(root, path):
  return (root / path).read_text().replace(build_files.HEADER + "\n", "")


def test_writes_targets(root):
  assert build_files.main([f"--root={root}"]) == 0
  assert _text(root, "pkg/BUILD") == _PKG
  assert _text(root, "tests/BUILD") == _TESTS
  assert _text(root, "tests/pkg/BUILD") == _TESTS_PKG
  assert _text(root, "tests/end_to_end/BUILD").count('size = "large"') == 1
  assert _text(root, "tests/end_to_end/BUILD").count('size = "small"') == 1


def test_quick_tests_of_a_folder_share_a_process(root):
  build_files.main([f"--root={root}"])
  written = _text(root, "tests/quick/BUILD")
  assert _QUICK in written
  assert written.count('tags = ["manual"]') == 2
  assert "quick_tests" not in _text(root, "tests/pkg/BUILD")


def test_check_accepts_what_was_written(root, capsys):
  build_files.main([f"--root={root}"])
  assert build_files.main(["--check", f"--root={root}"]) == 0
  capsys.readouterr()


def test_check_shows_differences_and_changes_nothing(root, capsys):
  build_files.main([f"--root={root}"])
  (root / "pkg/library.py").write_text("import pkg.tested")
  before = (root / "pkg/BUILD").read_text()
  assert build_files.main(["--check", f"--root={root}"]) == 1
  assert (root / "pkg/BUILD").read_text() == before
  shown = capsys.readouterr()
  assert '+        ":tested_lib",\n' in shown.out
  assert "python -m tools.build_files" in shown.err


def test_build_file_of_a_folder_without_sources_goes(root):
  build_files.main([f"--root={root}"])
  (root / "tests/pkg/tested_test.py").unlink()
  assert build_files.main([f"--root={root}"]) == 0
  assert not (root / "tests/pkg/BUILD").exists()


def test_build_files_of_others_stay(repository):
  root = repository({**_FILES, "pkg/BUILD": "# mine\n", "configs/BUILD": "# too\n"})
  assert build_files.main([f"--root={root}"]) == 0
  assert (root / "pkg/BUILD").read_text() == "# mine\n"
  assert (root / "configs/BUILD").exists()


def test_problems_fail_the_command(repository, capsys):
  root = repository({**_FILES, "new/x.py": "import new.y", "new/y.py": "import new.x"})
  assert build_files.main([f"--root={root}"]) == 1
  problems = capsys.readouterr().err
  assert "//new:x -> //new:y -> //new:x" in problems
  assert '"//new:sources" is missing' in problems
