"""Writes the BUILD files from what the Python sources import.

  python -m tools.build_files            rewrites them
  python -m tools.build_files --check    shows what that would change; exits with 1 if anything

One target a file, named after it, with the imports as its deps:

* `module.py` is `py_library(name = "module")`. With an `if __name__ == "__main__":` it is
  `py_binary(name = "module")`, and `py_library(name = "module_lib")` beside it if it is imported.
* `__init__.py` is `py_library(name = "__init__")`, on which each module of its package depends.
  What it imports at once from its own package stands below it instead.
* What an `__init__.py` imports in functions, or names in strings ("heavy_ranker.model"), is its
  lazy public API: `py_library(name = PACKAGE)` is `__init__` and all that. `import PACKAGE` means
  this target outside of the package and in its commands, and `:__init__` in its other modules and
  where the name is not used. `from PACKAGE import NAME` means the module that has it, if the
  `__init__.py` has a dictionary that says which.
* `tests/**/*_test.py` is a `pytest_test`, with the conftest.py files above it.
* In tests and benchmarks a string that is a module's full name counts as an import,
  `[sys.executable, "-m", "heavy_ranker.train"]`; in tests so does what a string that is a program
  imports, `"from tfrecords import schema"`.
* Tests of a folder that are neither large nor tagged are `quick_tests` together, because to load
  TensorFlow takes longer than most of them. That is what `bazel test //...` runs; by its own name
  each can still be run alone.
* `sources` is all Python and BUILD files of the folder and below, for checks of the whole.

Constants in a file say what its imports cannot: `BAZEL_DATA = ["//configs:all"]`, and in a test
`BAZEL_SIZE = "large"` and `BAZEL_TAGS = ["exclusive"]`. Imports under `if TYPE_CHECKING:` do not
count. A BUILD file without the first line that this program writes is somebody's own and is left
alone.
"""

import argparse
import difflib
import os
import pathlib
import sys
from typing import Optional

from tools import starlark
from tools.dependency_graph import DependencyGraph, Target
from tools.python_sources import Source

HEADER = "# Written by `python -m tools.build_files`: change the sources, then run it again.\n"

# Sizes of tests that do not say BAZEL_SIZE, by folder; elsewhere medium, which ends after 300 s.
DEFAULT_SIZES = {"tests/end_to_end": "large"}

QUICK_TESTS = "quick_tests"

_PYTEST_MAIN = "tests.pytest_main"


def main(argv: Optional[list[str]] = None) -> int:
  """Runs the command.

  Args:
    argv: its arguments; None for the program's.

  Returns:
    The exit code.
  """
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--check", action="store_true", help="change nothing, show differences")
  parser.add_argument(
    "--root",
    type=pathlib.Path,
    default=os.environ.get("BUILD_WORKSPACE_DIRECTORY") or pathlib.Path(__file__).parents[1],
    help="the repository; default: the one this program is in",
  )
  options = parser.parse_args(argv)
  texts, problems = build_files(options.root)
  changes = [path for path, text in texts.items() if _read(options.root / path) != text]
  for path in changes:
    if options.check:
      _show_difference(options.root, path, texts[path])
    elif texts[path] is None:
      (options.root / path).unlink()
    else:
      (options.root / path).write_text(texts[path], encoding="utf-8")
    print(f"{path}: {'out of date' if options.check else 'written'}")
  for problem in problems:
    print(f"build_files: {problem}", file=sys.stderr)
  if options.check and changes:
    print("build_files: to bring them up to date: python -m tools.build_files", file=sys.stderr)
  return 1 if problems or (options.check and changes) else 0


def build_files(root: pathlib.Path) -> tuple[dict[str, Optional[str]], list[str]]:
  """Works out the BUILD files of a repository.

  Args:
    root: the repository.

  Returns:
    The text of each file by its path, None for one that has to go; and what in the sources stands
    in the way of a working build.
  """
  graph = DependencyGraph(root)
  folders: dict[str, list[Source]] = {}
  for source in graph.sources.values():
    folders.setdefault(source.folder, []).append(source)

  texts: dict[str, Optional[str]] = {}
  for build_file in root.glob("*/**/BUILD"):
    path = build_file.relative_to(root).as_posix()
    if os.path.dirname(path) not in folders and _read(build_file).startswith(HEADER):
      texts[path] = None
  for folder, sources in folders.items():
    path = f"{folder}/BUILD"
    if (_read(root / path) or HEADER).startswith(HEADER):
      texts[path] = _build_file(graph, folder, sources, list(folders))

  problems = list(graph.problems)
  ring = graph.find_ring()
  if ring:
    names = " -> ".join(_label(graph, target, "") for target in [*ring, ring[0]])
    problems.append(f"a ring of deps: {names}; move what they share to a module of its own")
  root_build_file = _read(root / "BUILD") or ""
  for label in sorted({f"//{folder.split('/')[0]}:sources" for folder in folders}):
    if root_build_file and f'"{label}"' not in root_build_file:
      problems.append(f'BUILD: "{label}" is missing in the target "sources"')
  return texts, problems


def _read(path: pathlib.Path) -> Optional[str]:
  return path.read_text(encoding="utf-8") if path.exists() else None


def _show_difference(root: pathlib.Path, path: str, text: Optional[str]) -> None:
  old = (_read(root / path) or "").splitlines(keepends=True)
  new = (text or "").splitlines(keepends=True)
  sys.stdout.writelines(difflib.unified_diff(old, new, path, f"{path} (as the sources say)"))


def _build_file(
  graph: DependencyGraph, folder: str, sources: list[Source], folders: list[str]
) -> str:
  parts = [HEADER]
  quick = [source for source in sources if _is_quick(source)]
  quick = quick if len(quick) > 1 else []
  if any(source.is_test for source in sources):
    names = ["pytest_test", "pytest_tests"] if quick else ["pytest_test"]
    listed = ", ".join(f'"{name}"' for name in names)
    parts.append(f'load("//tools:pytest.bzl", {listed})\n')
  parts.append('package(default_visibility = ["//visibility:public"])\n')
  if any(source.module == _PYTEST_MAIN for source in sources):
    parts.append('exports_files(["pytest_main.py"])\n')
  for source in sorted(sources, key=lambda source: (not source.is_package, source.path)):
    parts += _rules(graph, source, runs_alone=source not in quick)
  if quick:
    parts.append(_quick_tests(graph, quick))
  below = [other for other in folders if other.startswith(folder + "/")]
  nearest = [other for other in below if not any(other.startswith(upper + "/") for upper in below)]
  files = starlark.string_list(["BUILD", *(f"//{other}:sources" for other in nearest)])
  parts.append(
    starlark.rule(
      "filegroup", name="sources", srcs=starlark.Expression(f'glob(["*.py"]) + {files}')
    )
  )
  return "\n".join(parts)


def _is_quick(source: Source) -> bool:
  return source.is_test and _size(source) != "large" and "BAZEL_TAGS" not in source.settings


def _size(source: Source) -> str:
  return source.settings.get("BAZEL_SIZE") or DEFAULT_SIZES.get(source.folder, "medium")


def _quick_tests(graph: DependencyGraph, sources: list[Source]) -> str:
  """The target that runs the quick tests of a folder in one process."""
  return starlark.rule(
    "pytest_tests",
    name=QUICK_TESTS,
    size="large",
    srcs=[os.path.basename(source.path) for source in sources],
    data=[label for source in sources for label in source.settings.get("BAZEL_DATA", [])],
    deps=[label for source in sources for label in _labels(graph, Target(source.module))],
  )


def _rules(graph: DependencyGraph, source: Source, runs_alone: bool) -> list[str]:
  """The targets of one file."""
  target = Target(source.module)
  common = {
    "deps": _labels(graph, target),
    "data": source.settings.get("BAZEL_DATA"),
  }
  if source.is_test:
    tags = source.settings.get("BAZEL_TAGS") if runs_alone else ["manual"]
    return [starlark.rule("pytest_test", name=source.stem, size=_size(source), tags=tags, **common)]

  common["srcs"] = [os.path.basename(source.path)]
  common["testonly"] = source.is_in_tests
  rules = []
  if not source.is_main or source.module in graph.imported:
    rules.append(starlark.rule("py_library", name=_name(graph, target), **common))
  if source.is_main and source.module != _PYTEST_MAIN:
    if rules:
      common.update(deps=[":" + _name(graph, target)], data=None)
    rules.append(starlark.rule("py_binary", name=source.stem, **common))
  if source.module in graph.apis:
    api = Target(source.module, is_api=True)
    rules.append(
      starlark.rule(
        "py_library",
        name=_name(graph, api),
        testonly=source.is_in_tests,
        deps=_labels(graph, api),
      )
    )
  return rules


def _labels(graph: DependencyGraph, target: Target) -> list[str]:
  folder = graph.sources[target.module].folder
  return [_label(graph, dep, folder) for dep in graph.deps(target)]


def _label(graph: DependencyGraph, target: Target, folder: str) -> str:
  """The target's name in the BUILD file of a folder."""
  own_folder = graph.sources[target.module].folder
  name = _name(graph, target)
  if own_folder == folder:
    return f":{name}"
  return f"//{own_folder}" + (f":{name}" if name != os.path.basename(own_folder) else "")


def _name(graph: DependencyGraph, target: Target) -> str:
  source = graph.sources[target.module]
  if target.is_api:
    return os.path.basename(source.folder)
  return source.stem + ("_lib" if source.is_main else "")


if __name__ == "__main__":
  sys.exit(main())
