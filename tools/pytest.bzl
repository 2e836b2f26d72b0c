"""A test file that pytest runs."""

def pytest_test(name, data = [], **kwargs):
    """A py_test that runs pytest on the file `name`.py.

    Args:
      name: the test's name, which is the file's without ".py".
      data: files the test reads.
      **kwargs: what else py_test takes.
    """
    native.py_test(
        name = name,
        srcs = [
            name + ".py",
            "//tests:pytest_main.py",
        ],
        args = [native.package_name() + "/" + name + ".py"],
        data = data + ["//:pyproject.toml"],
        main = "//tests:pytest_main.py",
        **kwargs
    )
