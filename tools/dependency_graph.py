"""Which Bazel target depends on which, from what the Python sources import."""

import functools
import pathlib
from collections.abc import Iterable
from typing import NamedTuple, Optional

from tools import python_sources
from tools.python_sources import Import, Source


class Target(NamedTuple):
  """A library: a file's, or the lazy public API of a package."""

  module: str
  is_api: bool = False


class DependencyGraph:
  """The sources of a repository and their dependencies.

  Importing a module runs the __init__.py of its packages, so a module depends on those, except on
  the ones that need the module themselves: what an __init__.py imports at once from its own package
  stands below it, and who imports such a module depends on both.

  Attributes:
    sources: by the module's name.
    problems: what the sources get wrong; complete after `find_ring()`.
  """

  def __init__(self, root: pathlib.Path):
    """Reads the sources.

    Args:
      root: the repository.
    """
    self.sources: dict[str, Source] = {}
    self.problems: dict[str, None] = {}
    for path in python_sources.find_paths(root):
      try:
        source = python_sources.read(root, path)
      except (SyntaxError, ValueError) as error:
        self._add_problem(f"{path}: cannot be read: {error}")
        continue
      if source.module in self.sources:
        self._add_problem(f"{path}: has the name of {self.sources[source.module].path}")
      self.sources[source.module] = source
    self._tops = {module.split(".")[0] for module in self.sources}

  @functools.cached_property
  def apis(self) -> frozenset[str]:
    """The packages whose __init__.py loads parts of its public API lazily."""
    return frozenset(
      source.module
      for source in self.sources.values()
      if source.is_package and (self._own(source.lazy) or self._mentions(source))
    )

  @functools.cached_property
  def targets(self) -> tuple[Target, ...]:
    """All libraries."""
    files = [Target(module) for module in self.sources]
    return tuple(sorted([*files, *(Target(module, is_api=True) for module in self.apis)]))

  @functools.cached_property
  def imported(self) -> frozenset[str]:
    """The modules that something depends on."""
    return frozenset(dep.module for target in self.targets for dep in self.deps(target))

  @functools.cache  # noqa: B019 - lives as long as the program
  def deps(self, target: Target) -> frozenset[Target]:
    """Returns what a target depends on directly.

    Args:
      target: one of `targets`.

    Returns:
      The targets of its imports, and of the packages that these run.
    """
    module = target.module
    stated = self._stated_deps(target)
    packages = set() if target.is_api else set(self._packages_of(module))
    for dep in stated:
      # The other modules bring their packages along.
      packages |= {name for name in self._packages_of(dep.module) if self._is_below(dep, name)}
    packages = {name for name in packages if name != module and not self._is_below(target, name)}
    for name in sorted(packages):
      # So do the inner packages.
      packages -= {
        outer for outer in self._packages_of(name) if not self._is_below(Target(name), outer)
      }
    return stated | {Target(name) for name in packages}

  def find_ring(self) -> list[Target]:
    """Returns targets of which each depends on the next and the last on the first, or []."""
    done: set[Target] = set()

    def visit(target: Target, path: list[Target]) -> list[Target]:
      if target in path:
        return path[path.index(target) :]
      if target not in done:
        for dep in sorted(self.deps(target)):
          ring = visit(dep, [*path, target])
          if ring:
            return ring
        done.add(target)
      return []

    return next(filter(None, (visit(target, []) for target in self.targets)), [])

  def _add_problem(self, text: str) -> None:
    self.problems[text] = None

  def _packages_of(self, module: str) -> list[str]:
    """The packages that importing a module runs before it, innermost first."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
    return [name for name in names if name in self.sources]

  def _own(self, imports: Iterable[Import]) -> list[Import]:
    return [found for found in imports if found.module.split(".")[0] in self._tops]

  def _mentions(self, source: Source) -> list[Import]:
    """The modules whose names are strings in the file, in full or, in a package, as ".name"."""
    names = {source.module + text if text[0] == "." else text for text in source.strings}
    return [Import(name, None, 0) for name in sorted(names & set(self.sources))]

  def _conftests(self, source: Source) -> list[str]:
    parts = source.folder.split("/")
    names = [".".join([*parts[:end], "conftest"]) for end in range(1, len(parts) + 1)]
    return [name for name in names if name in self.sources]

  def _resolve(self, found: Import, importer: Source) -> set[Target]:
    """The targets an import stands for; none for the importer itself and for bare folders."""
    module, name = found.module, found.name
    provider = self._provider(module, name)
    if provider:
      return {Target(module), *self._resolve(Import(provider, name, found.line), importer)}
    if f"{module}.{name}" in self.sources:
      module, name = f"{module}.{name}", None
    if module not in self.sources:
      if not any(known.startswith(module + ".") for known in self.sources):
        self._add_problem(f"{importer.path}:{found.line}: there is no module {module}")
      return set()
    if module == importer.module:
      return set()
    if module not in self.apis or name in self.sources[module].names:
      return {Target(module)}
    # Inside of the package, too, importing it is for what this does; the API would be a ring.
    is_inside = importer.module.startswith(module + ".") and not importer.is_main
    is_for_effect = name is None and (is_inside or module in importer.unused)
    return {Target(module, is_api=not is_for_effect)}

  def _provider(self, module: str, name: Optional[str]) -> Optional[str]:
    """The module that a package loads a name of its lazy public API from, if it says so."""
    if module not in self.apis or name not in self.sources[module].providers:
      return None
    provider = self.sources[module].providers[name]
    provider = module + provider if provider.startswith(".") else provider
    return provider if provider in self.sources else None

  @functools.cache  # noqa: B019
  def _stated_deps(self, target: Target) -> frozenset[Target]:
    source = self.sources[target.module]
    imports = list(source.eager)
    if target.is_api or not source.is_package:
      imports += source.lazy
    if target.is_api or source.starts_programs:
      imports += self._mentions(source)
    if source.is_in_tests:
      imports += (found for found in source.quoted if found.module in self.sources)
    deps = set().union(*(self._resolve(found, source) for found in self._own(imports)))
    if source.is_test:
      deps |= {Target(name) for name in self._conftests(source)}
    if target.is_api:
      deps.add(Target(source.module))
    return frozenset(deps - {target})

  def _is_below(self, target: Target, package: str) -> bool:
    return not target.is_api and target.module in self._modules_below(package)

  @functools.cache  # noqa: B019
  def _modules_below(self, package: str) -> frozenset[str]:
    """The package's modules that its __init__.py needs at once."""
    found: set[str] = set()
    seen = {Target(package)}
    waiting = [Target(package)]
    while waiting:
      for dep in self._stated_deps(waiting.pop()):
        inner = {
          name
          for name in [dep.module, *self._packages_of(dep.module)]
          if name.startswith(package + ".")
        }
        found |= inner
        more = {dep, *map(Target, inner)} - seen if inner else set()
        seen |= more
        waiting += more
    return frozenset(found)
