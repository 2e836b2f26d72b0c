"""What a Python file imports and says about itself, read without importing it."""

import ast
import dataclasses
import os
import pathlib
import textwrap
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

Settings = dict[str, Union[str, list[str]]]

SETTING_NAMES = ("BAZEL_DATA", "BAZEL_SIZE", "BAZEL_TAGS")


class Import(NamedTuple):
  """`import module`, or `from module import name`."""

  module: str
  name: Optional[str]
  line: int


@dataclasses.dataclass(frozen=True)
class Source:
  """What matters of a Python file.

  Attributes:
    path: relative to the repository, with slashes.
    module: the full name to import it by.
    is_package: whether it is an __init__.py.
    is_main: whether it can be run.
    eager: what importing it imports.
    lazy: what its functions import.
    quoted: what the programs in its strings import.
    unused: modules it imports and does not use, for what importing them does.
    names: what it defines itself, other than by importing it.
    providers: the texts by text of its dictionaries, such as a module's by a lazy name's.
    strings: its string constants with a dot in them.
    settings: its BAZEL_... constants.
  """

  path: str
  module: str
  is_package: bool
  is_main: bool
  eager: tuple[Import, ...]
  lazy: tuple[Import, ...]
  quoted: tuple[Import, ...]
  unused: frozenset[str]
  names: frozenset[str]
  providers: dict[str, str]
  strings: frozenset[str]
  settings: Settings

  @property
  def folder(self) -> str:
    """The folder the file lies in."""
    return os.path.dirname(self.path)

  @property
  def stem(self) -> str:
    """The file's name without .py."""
    return os.path.basename(self.path)[: -len(".py")]

  @property
  def is_in_tests(self) -> bool:
    """Whether the file serves tests only."""
    return self.path.startswith("tests/")

  @property
  def starts_programs(self) -> bool:
    """Whether a string in it that is a module's name stands for a process of that module."""
    return self.is_in_tests or self.path.startswith("benchmarks/")

  @property
  def is_test(self) -> bool:
    """Whether pytest runs the file."""
    return self.is_in_tests and self.stem.endswith("_test")


def find_paths(root: pathlib.Path) -> list[str]:
  """Lists the Python files in the folders of a repository.

  Args:
    root: the repository. Files in itself, hidden folders, virtualenvs and what its .bazelignore
      names do not count.

  Returns:
    Paths relative to the root, with slashes.
  """
  ignore_file = root / ".bazelignore"
  ignored = ignore_file.read_text(encoding="utf-8").split() if ignore_file.exists() else []
  found = []
  for folder, below, files in os.walk(root):
    relative = pathlib.Path(folder).relative_to(root)
    below[:] = sorted(
      name
      for name in below
      if not name.startswith((".", "bazel-"))
      and (relative / name).as_posix() not in ignored
      and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
    )
    if relative.parts:
      found += [(relative / name).as_posix() for name in sorted(files) if name.endswith(".py")]
  return found


def read(root: pathlib.Path, path: str) -> Source:
  """Reads one file.

  Args:
    root: the repository.
    path: the file, relative to it, with slashes.

  Returns:
    What it says.

  Raises:
    SyntaxError: it is no Python.
    ValueError: a BAZEL_... constant is more than a literal.
  """
  tree = ast.parse((root / path).read_text(encoding="utf-8"), path)
  parts = path[: -len(".py")].split("/")
  is_package = parts[-1] == "__init__"
  if is_package:
    parts.pop()
  imports = list(_imports(tree, parts if is_package else parts[:-1]))
  return Source(
    path=path,
    module=".".join(parts),
    is_package=is_package,
    is_main=any(map(_is_main_guard, tree.body)),
    eager=tuple(found for in_function, found in imports if not in_function),
    lazy=tuple(found for in_function, found in imports if in_function),
    quoted=tuple(_quoted_imports(tree)),
    unused=frozenset(_unused_modules(tree)),
    names=frozenset(_own_names(tree)),
    providers=dict(_pairs_of_strings(tree)),
    strings=frozenset(_dotted_strings(tree)),
    settings=_settings(tree),
  )


def _imports(
  node: ast.AST, package: list[str], in_function: bool = False
) -> Iterator[tuple[bool, Import]]:
  if isinstance(node, ast.Import):
    for alias in node.names:
      yield in_function, Import(alias.name, None, node.lineno)
  elif isinstance(node, ast.ImportFrom):
    above = package[: len(package) - node.level + 1] if node.level else []
    module = ".".join([*above, *filter(None, [node.module])])
    for alias in node.names:
      yield in_function, Import(module, alias.name, node.lineno)
  else:
    in_function |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in node.orelse if _is_type_checking(node) else ast.iter_child_nodes(node):
      yield from _imports(child, package, in_function)


def _quoted_imports(tree: ast.Module) -> Iterator[Import]:
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
      try:
        program = ast.parse(textwrap.dedent(node.value))
      except (SyntaxError, ValueError):
        continue
      for _, found in _imports(program, []):
        yield found._replace(line=node.lineno)


def _is_type_checking(node: ast.AST) -> bool:
  names = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
  return isinstance(node, ast.If) and ast.unparse(node.test) in names


def _is_main_guard(node: ast.AST) -> bool:
  return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _own_names(tree: ast.Module) -> Iterator[str]:
  for node in tree.body:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
      yield node.name
  yield from (name for name, _ in _assignments(tree))


def _assignments(tree: ast.Module) -> Iterator[tuple[str, Optional[ast.expr]]]:
  for node in tree.body:
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
      for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name):
          yield target.id, node.value


def _unused_modules(tree: ast.Module) -> Iterator[str]:
  used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
  for node in ast.walk(tree):
    for alias in node.names if isinstance(node, ast.Import) else []:
      if (alias.asname or alias.name.split(".")[0]) not in used:
        yield alias.name


def _pairs_of_strings(tree: ast.Module) -> Iterator[tuple[str, str]]:
  for node in ast.walk(tree):
    if isinstance(node, ast.Dict):
      for pair in zip(node.keys, node.values):
        texts = [part.value for part in pair if isinstance(part, ast.Constant)]
        if len(texts) == 2 and all(isinstance(text, str) for text in texts):
          yield texts[0], texts[1]


def _dotted_strings(tree: ast.Module) -> Iterator[str]:
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
      yield node.value


def _settings(tree: ast.Module) -> Settings:
  return {
    name: ast.literal_eval(value) for name, value in _assignments(tree) if name in SETTING_NAMES
  }
