"""No source can run what a file says, reach into the network on its own, or unpickle.

SECURITY.md relies on it. What is excepted is named with its reason.
"""

import ast
import pathlib

import pytest

from tools import python_sources

BAZEL_DATA = ["//:sources"]

_ROOT = pathlib.Path(__file__).parents[1]
# What runs in a user's hands; tests may do what they like.
_PACKAGES = ("heavy_ranker", "tfrecords", "benchmarks", "tools")
_MODULES = {
  "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "codeop",
  "requests", "urllib.request", "ftplib", "telnetlib", "xmlrpc", "tensorflow_hub", "ctypes", "code",
}  # fmt: skip
_NAMES = {"eval", "exec", "compile", "__import__"}
_METHODS = {
  "unsafe_load", "full_load", "unsafe_load_all", "full_load_all", "load_all",  # YAML
  "load_model", "model_from_json", "model_from_yaml", "model_from_config", "Lambda",  # Keras
  "custom_object_scope", "get_file", "deserialize_keras_object", "enable_unsafe_deserialization",
  "system", "popen", "spawnl", "execv", "execve", "execvp",
}  # fmt: skip
_KEYWORDS = {"custom_objects", "shell", "allow_pickle"}
_EXCEPTIONS = {
  # Runs the script of the installed package that it is named after.
  ("tools/launcher.py", "exec"),
  ("tools/launcher.py", "compile"),
  # Starts Python in the virtualenv that Bazel has made.
  ("tools/venv.py", "execv"),
  # Asks the C library that Python runs on to return memory.
  ("heavy_ranker/serving/server/freed_memory.py", "ctypes"),
  # Names out of a table in the source.
  ("heavy_ranker/__init__.py", "import_module"),
}


def _sources():
  return [
    str(path)
    for path in python_sources.find_paths(_ROOT)
    if pathlib.PurePath(path).parts[0] in _PACKAGES
  ]


def findings(source):
  """Returns what a source should not do, as words with the line."""
  found = []
  for node in ast.walk(ast.parse(source)):
    names = []
    if isinstance(node, ast.Import):
      names = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
      names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
    found += [(node.lineno, name) for name in names if name in _MODULES]
    if isinstance(node, ast.Call):
      found += [(node.lineno, name) for name in _called(node)]
  return found


def _called(call):
  function = call.func
  if isinstance(function, ast.Name) and function.id in _NAMES:
    yield function.id
  if not isinstance(function, ast.Attribute):
    return
  of = ast.unparse(function.value)
  keywords = {each.arg: each.value for each in call.keywords}
  if function.attr in _METHODS and f"{of}.{function.attr}" != "re.compile":
    yield function.attr
  if function.attr == "import_module":
    yield function.attr
  if of == "yaml" and function.attr == "load":
    loader = ast.unparse(keywords["Loader"]) if "Loader" in keywords else ""
    if loader not in ("_Loader", "yaml.SafeLoader", "yaml.CSafeLoader"):
      yield "yaml.load"
  reads_arrays = (of, function.attr) in (("np", "load"), ("np.lib.format", "read_array"))
  may_pickle = keywords.get("allow_pickle")
  if reads_arrays and not (isinstance(may_pickle, ast.Constant) and may_pickle.value is False):
    yield f"{of}.{function.attr} without allow_pickle=False"
  for name in _KEYWORDS & keywords.keys():
    value = keywords[name]
    if not (isinstance(value, ast.Constant) and not value.value):
      yield f"{name}="


def test_no_source_runs_what_it_reads():
  paths = _sources()
  assert len(paths) > 150
  left = [
    f"{path}:{line}: {name}"
    for path in paths
    for line, name in findings((_ROOT / path).read_text(encoding="utf-8"))
    if (path, name) not in _EXCEPTIONS
  ]
  assert not left, "\n".join(left)


@pytest.mark.parametrize(
  "source",
  [
    "eval('1')",
    "exec(code)",
    "__import__(name)",
    "import pickle",
    "from pickle import loads",
    "from urllib import request",
    "import yaml; yaml.load(text, Loader=yaml.Loader)",
    "yaml.load(text)",
    "yaml.unsafe_load(text)",
    "np.load(path)",
    "np.load(path, allow_pickle=True)",
    "np.load(path, allow_pickle=flag)",
    "keras.models.load_model(path)",
    "keras.layers.Lambda(function)",
    "m.f(x, custom_objects=c)",
    "os.system(command)",
    "subprocess.run(command, shell=True)",
    "importlib.import_module(name)",
  ],
)
def test_it_would_be_found(source):
  assert findings(source)


def test_what_is_fine_is_not():
  assert not findings(
    "import yaml, re\nyaml.safe_load(t)\nnp.load(p, allow_pickle=False)\nre.compile('x')\n"
    "model.compile(optimizer=o)\nsubprocess.run(command, shell=False)"
  )


def test_yaml_loader_is_a_safe_one():
  source = (_ROOT / "tfrecords/config/yaml_file.py").read_text(encoding="utf-8")
  assert "class _Loader(yaml.SafeLoader):" in source
  others = [path for path in _sources() if "_Loader" in (_ROOT / path).read_text(encoding="utf-8")]
  assert others == ["tfrecords/config/yaml_file.py"]
