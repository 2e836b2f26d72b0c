"""Test files that pytest runs."""

def pytest_tests(name, srcs, data = [], **kwargs):
    """A py_test that runs pytest on several files in one process.

    Args:
      name: the test's name.
      srcs: the test files.
      data: files the tests read.
      **kwargs: what else py_test takes.
    """
    native.py_test(
        name = name,
        srcs = srcs + ["//tests:pytest_main.py"],
        args = [native.package_name() + "/" + src for src in srcs],
        data = data + ["//:pyproject.toml"],
        main = "//tests:pytest_main.py",
        **kwargs
    )

def pytest_test(name, **kwargs):
    """A py_test that runs pytest on the file `name`.py.

    Args:
      name: the test's name, which is the file's without ".py".
      **kwargs: what else pytest_tests takes.
    """
    pytest_tests(name = name, srcs = [name + ".py"], **kwargs)
