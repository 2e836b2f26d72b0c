"""A repository rule: a virtualenv made from requirements.txt, as the Python toolchain."""

_BUILD = """
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

# interpreter_path, not interpreter: the virtualenv stays where it is and none of its
# files enters the action graph, the runfiles or the sandbox's list of inputs.
py_runtime(
    name = "py3_runtime",
    interpreter_path = "{wrapper}",
    python_version = "PY3",
    stub_shebang = "#!{python}",
)

py_runtime_pair(
    name = "py_runtime_pair",
    py3_runtime = ":py3_runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":py_runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

_WRAPPER = """#!/bin/sh
# What Bazel's stubs call as `python MAIN ARGUMENTS...`.
case "${{1:-}}" in
    "" | -*) exec "{python}" "$@" ;;
    *) exec "{python}" "{launcher}" "$@" ;;
esac
"""

_PROBE = """
import sys
print("%s is Python %d.%d" % ((sys.executable,) + sys.version_info[:2]))
if not (3, 9) <= sys.version_info[:2] <= (3, 12):
    sys.exit(1)
try:
    import ensurepip, venv
except ImportError:
    print("  without the venv module: on Debian and Ubuntu, apt-get install python%d.%d-venv" % sys.version_info[:2])
    sys.exit(1)
"""

_NO_PYTHON = """

No usable Python. TensorFlow 2.16 runs on Python 3.9, 3.10, 3.11 and 3.12; found here:
  {found}
What to do, one of:
  - Debian 12, Ubuntu 22.04 and 24.04:   sudo apt-get install python3-venv
  - a newer Debian or Ubuntu:            install Python 3.12 beside the system's, with pyenv, uv or conda:
        pyenv install 3.12        or        uv python install 3.12
and if it is not on PATH as python3.12, name it:
  PYTHON_ENV_PYTHON=/path/to/python3.12 ./bazelw ...
"""

_CANDIDATES = ["python3.12", "python3.11", "python3.10", "python3.9", "python3", "/usr/bin/python3"]

def _run(rctx, what, args, timeout = 600, quiet = True):
    result = rctx.execute(args, timeout = timeout, quiet = quiet)
    if result.return_code != 0:
        fail("%s failed (exit %d):\n%s\n%s" % (what, result.return_code, result.stdout[-4000:], result.stderr[-4000:]))
    return result.stdout

def _find_python(rctx):
    chosen = rctx.os.environ.get("PYTHON_ENV_PYTHON", "")
    found = []
    for name in [chosen] if chosen else _CANDIDATES:
        path = name if name.startswith("/") else rctx.which(name)
        if not path:
            continue
        result = rctx.execute([path, "-c", _PROBE])  # a pyenv shim may exist and still fail
        if result.return_code == 0:
            return path
        report = result.stdout.strip() or "%s does not start" % path
        if report not in found:
            found.append(report)
    if not found:
        found = ["PYTHON_ENV_PYTHON=%s is not there" % chosen if chosen else "no python3 at all"]
    fail(_NO_PYTHON.format(found = "\n  ".join(found)))

def _impl(rctx):
    # Resolved first: this is what makes Bazel run the rule again when one of the files changes.
    requirements = rctx.path(rctx.attr.requirements)
    rctx.path(rctx.attr.constraints)
    launcher = rctx.read(rctx.attr.launcher)

    base = _find_python(rctx)
    venv = str(rctx.path("venv"))
    python = venv + "/bin/python3"
    rctx.report_progress("python -m venv")
    _run(rctx, "python -m venv", [base, "-m", "venv", venv])
    rctx.report_progress("pip install -r requirements.txt (TensorFlow: some minutes, once)")
    _run(
        rctx,
        "pip install -r requirements.txt",
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", str(requirements)],
        timeout = rctx.attr.pip_timeout,
        quiet = False,
    )

    # Bazel sees the interpreter's path only: it has to change when what is installed does, or tests
    # would pass from the cache that no longer do.
    installed = _run(rctx, "pip freeze", [python, "-m", "pip", "freeze", "--all", "--disable-pip-version-check"])
    version = _run(rctx, "python --version", [python, "--version"])
    wrapper = "python-" + str(hash(installed + version + launcher)).lstrip("-")
    rctx.file("launcher.py", launcher, executable = False)
    rctx.file(wrapper, _WRAPPER.format(python = python, launcher = rctx.path("launcher.py")))
    rctx.file("BUILD.bazel", _BUILD.format(python = python, wrapper = rctx.path(wrapper)))

python_env = repository_rule(
    implementation = _impl,
    attrs = {
        "requirements": attr.label(mandatory = True, allow_single_file = True),
        "constraints": attr.label(
            mandatory = True,
            allow_single_file = True,
            doc = "The file that `requirements` names with -c; here so that a change to it counts.",
        ),
        "launcher": attr.label(mandatory = True, allow_single_file = True),
        "pip_timeout": attr.int(default = 7200),
    },
    environ = ["PYTHON_ENV_PYTHON"],
)
