"""A py_test whose test files run under pytest."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, srcs, data = [], **kwargs):
    """Runs the *_test.py files of srcs in one process.

    Args:
      name: The target's name.
      srcs: The test files, and the conftest.py and helpers beside them.
      data: The files the tests read.
      **kwargs: As for py_test.
    """
    tests = [src for src in srcs if src.endswith("_test.py")]
    if not tests:
        fail("%s has no *_test.py file" % name)
    py_test(
        name = name,
        srcs = srcs + ["//tools:pytest_runner.py"],
        main = "//tools:pytest_runner.py",
        args = ["$(rootpath %s)" % test for test in tests],
        data = data + ["//:pyproject.toml"],
        **kwargs
    )
