import pytest

from tools import python_sources
from tools.python_sources import Import


def _read(repository, text, path="pkg/sub/module.py"):
  return python_sources.read(repository({path: text}), path)


def test_imports_are_eager_outside_and_lazy_inside_of_functions(repository):
  source = _read(
    repository,
    """\
    import a.b as c
    try:
      from d import e, f
    except ImportError:
      pass
    class Thing:
      import g
      def method(self):
        import h
    async def function():
      return lambda: __import__("i")
    """,
  )
  assert source.eager == (
    Import("a.b", None, 1),
    Import("d", "e", 3),
    Import("d", "f", 3),
    Import("g", None, 7),
  )
  assert source.lazy == (Import("h", None, 9),)


def test_imports_for_type_checkers_do_not_count(repository):
  source = _read(
    repository,
    """\
    import typing
    if typing.TYPE_CHECKING:
      import a
    else:
      import b
    """,
  )
  assert [found.module for found in source.eager] == ["typing", "b"]


@pytest.mark.parametrize(
  "path, expected",
  [
    ("pkg/sub/module.py", ["pkg.sub", "pkg.sub.x", "pkg.y"]),
    ("pkg/sub/__init__.py", ["pkg.sub", "pkg.sub.x", "pkg.y"]),
    ("pkg/module.py", ["pkg", "pkg.x", "y"]),
  ],
)
def test_relative_imports(repository, path, expected):
  source = _read(repository, "from . import a\nfrom .x import b\nfrom ..y import c\n", path)
  assert [found.module for found in source.eager] == expected


def test_what_a_file_says_of_itself(repository):
  source = _read(
    repository,
    """\
    BAZEL_DATA = ["//configs:all"]
    BAZEL_SIZE: str = "large"
    LIMIT = 3
    def run(): pass
    if __name__ == "__main__":
      run()
    """,
  )
  assert (source.module, source.folder, source.stem) == ("pkg.sub.module", "pkg/sub", "module")
  assert source.is_main and not source.is_package and not source.is_test
  assert source.names == {"BAZEL_DATA", "BAZEL_SIZE", "LIMIT", "run"}
  assert source.settings == {"BAZEL_DATA": ["//configs:all"], "BAZEL_SIZE": "large"}


def test_imports_for_their_effects_alone(repository):
  source = _read(repository, "import a\nimport b.c\nimport d as e\nimport f.g\nprint(b.c, e)\n")
  assert source.unused == {"a", "f.g"}


def test_imports_in_programs_that_are_strings(repository):
  source = _read(
    repository,
    """\
    PROGRAM = '''
      import a
      from b import c
    '''
    TEXT = "what we import is tea"
    """,
  )
  assert source.quoted == (Import("a", None, 1), Import("b", "c", 1))
  assert not source.eager


def test_where_a_dictionary_says_names_are(repository):
  source = _read(repository, "_HOME_OF = {'name': 'pkg.module', 'number': 1, **other}\n")
  assert source.providers == {"name": "pkg.module"}


def test_settings_are_literals(repository):
  with pytest.raises(ValueError):
    _read(repository, "BAZEL_SIZE = size()\n")


def test_find_paths_passes_by_what_is_not_the_repositorys(repository):
  root = repository(
    {
      ".bazelignore": "ignored\nseen/also\n",
      "top.py": "",
      "seen/a.py": "",
      "seen/a.txt": "",
      "seen/also/b.py": "",
      "seen/deep/er/c.py": "",
      "ignored/d.py": "",
      ".hidden/e.py": "",
      "env/pyvenv.cfg": "",
      "env/f.py": "",
      "bazel-out/g.py": "",
    }
  )
  assert python_sources.find_paths(root) == ["seen/a.py", "seen/deep/er/c.py"]
