import pytest

from tools.dependency_graph import DependencyGraph, Target


@pytest.fixture
def deps(repository):
  """Given files, a function from a target's name ("a.b", or "a!" for a's API) to its deps'."""

  def read(files):
    graph = DependencyGraph(repository(files))

    def of(name):
      target = Target(name.rstrip("!"), name.endswith("!"))
      return {dep.module + "!" * dep.is_api for dep in graph.deps(target)}

    of.graph = graph
    return of

  return read


def test_modules_depend_on_imports_and_on_the_packages_they_run(deps):
  of = deps(
    {
      "a/__init__.py": "import numpy",
      "a/x.py": "from a import y\nfrom a.sub.z import Z",
      "a/y.py": "import numpy as np",
      "a/sub/__init__.py": "",
      "a/sub/z.py": "def f():\n  import a.y",
    }
  )
  assert of("a") == set()
  assert of("a.x") == {"a", "a.y", "a.sub.z"}
  assert of("a.y") == {"a"}
  assert of("a.sub") == {"a"}
  assert of("a.sub.z") == {"a.sub", "a.y"}
  assert not of.graph.problems and not of.graph.find_ring()


def test_what_a_package_imports_at_once_stands_below_it(deps):
  of = deps(
    {
      "a/__init__.py": "from a.base import prepare\nprepare()",
      "a/base.py": "from a.deeper import thing",
      "a/deeper.py": "",
      "a/other.py": "",
      "b/__init__.py": "",
      "b/user.py": "import a.deeper",
    }
  )
  assert of("a") == {"a.base"}
  assert of("a.base") == {"a.deeper"}
  assert of("a.deeper") == set()
  assert of("a.other") == {"a"}
  assert of("b.user") == {"a.deeper", "a", "b"}, "importing a.deeper runs a, which a.deeper omits"
  assert not of.graph.find_ring()


def test_package_that_imports_a_whole_subpackage_at_once(deps):
  of = deps(
    {
      "a/__init__.py": "from a.sub import Thing",
      "a/sub/__init__.py": "from a.sub.thing import Thing",
      "a/sub/thing.py": "",
      "a/sub/more.py": "",
    }
  )
  assert of("a") == {"a.sub"}
  assert of("a.sub") == {"a.sub.thing"}
  assert of("a.sub.thing") == set()
  assert of("a.sub.more") == {"a.sub", "a"}
  assert not of.graph.find_ring()


_LAZY = {
  "a/__init__.py": """
    VERSION = 1
    _WHERE = {"build": "a.model", "Config": ".config", "run": "a.training.loop"}
    def train(config):
      from a.training import loop
      return loop.run(config)
    def __getattr__(name):
      return load(_WHERE[name])
    """,
  "a/model.py": "import a\nfrom a import VERSION",
  "a/config.py": "",
  "a/training/__init__.py": "",
  "a/training/loop.py": "from a import model",
  "a/run.py": "from a.training import loop",
  "a/main.py": "import a\nif __name__ == '__main__':\n  a.build()",
  "b/__init__.py": "",
  "b/api.py": "import a\na.build()",
  "b/build.py": "from a import build",
  "b/config.py": "from a import Config",
  "b/run.py": "from a import run",
  "b/unmapped.py": "from a import other",
  "b/version.py": "from a import VERSION",
  "b/side_effect.py": "import a",
}


def test_lazy_public_api_is_a_target_of_its_own(deps):
  of = deps(_LAZY)
  assert of("a") == set()
  assert of("a!") == {"a", "a.model", "a.config", "a.training.loop"}
  assert of("a.model") == {"a"}
  assert of("a.main") == {"a!", "a"}
  assert of("b.api") == {"a!", "b"}
  assert of("b.build") == {"a.model", "a", "b"}
  assert of("b.config") == {"a.config", "a", "b"}
  assert of("b.run") == {"a.training.loop", "a", "b"}, "the public name hides the file a/run.py"
  assert of("b.unmapped") == {"a!", "b"}, "what no dictionary has may come from anywhere"
  assert of("b.version") == {"a", "b"}
  assert of("b.side_effect") == {"a", "b"}
  assert not of.graph.find_ring()


def test_benchmarks_depend_on_modules_they_start(deps):
  of = deps(
    {
      "a/__init__.py": "",
      "a/train.py": "",
      "a/other.py": "NAME = 'a.train'",
      "benchmarks/__init__.py": "",
      "benchmarks/speed_of_a.py": "COMMAND = ['-m', 'a.train']",
    }
  )
  assert of("benchmarks.speed_of_a") == {"benchmarks", "a.train"}
  assert of("a.other") == {"a"}


def test_tests_depend_on_conftests_and_on_modules_they_name(deps):
  of = deps(
    {
      "a/__init__.py": "",
      "a/train.py": "",
      "a/schema.py": "",
      "tests/conftest.py": "import a",
      "tests/a/conftest.py": "",
      "tests/a/train_test.py": "COMMAND = ['-m', 'a.train', 'a.nothing']",
      "tests/b/other_test.py": "PROGRAM = 'from a import schema, nothing; import a.nothing'",
    }
  )
  assert of("tests.a.train_test") == {"a.train", "tests.conftest", "tests.a.conftest"}
  assert of("tests.b.other_test") == {"a.schema", "a", "tests.conftest"}


def test_rings_are_found(deps):
  of = deps({"a/x.py": "import a.y", "a/y.py": "def f():\n  import a.z", "a/z.py": "import a.x"})
  assert {target.module for target in of.graph.find_ring()} == {"a.x", "a.y", "a.z"}


def test_imports_of_nothing_are_problems(deps):
  of = deps({"a/__init__.py": "", "a/x.py": "import a.gone\nfrom a.lost import x\nimport a"})
  of.graph.find_ring()
  assert list(of.graph.problems) == [
    "a/x.py:1: there is no module a.gone",
    "a/x.py:2: there is no module a.lost",
  ]


def test_files_that_cannot_be_read_are_problems(deps):
  graph = deps({"a/x.py": "def", "a/y/__init__.py": "", "a/y.py": ""}).graph
  problems = "\n".join(graph.problems)
  assert "a/x.py: cannot be read" in problems
  assert "has the name of" in problems
