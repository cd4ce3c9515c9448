"""The Python environment that every target runs in.

python_environment() makes a virtual environment, installs the locked packages
into it and offers it to Bazel as a Python toolchain. $PYTHON_BIN_PATH names the
interpreter it is made from; python3 is the default.
"""

_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

py_runtime(
    name = "runtime",
    interpreter_path = "{interpreter}",
    stub_shebang = "#!{interpreter}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

def _run(repository_ctx, what, *command):
    repository_ctx.report_progress(what)
    result = repository_ctx.execute(command, timeout = 3600)
    if result.return_code:
        fail("%s failed:\n%s%s" % (what, result.stdout, result.stderr))
    return result.stdout

def _python_environment_impl(repository_ctx):
    # Resolving the label makes Bazel re-run this rule when the file changes.
    lock = str(repository_ctx.path(repository_ctx.attr.requirements_lock))
    python = repository_ctx.os.environ.get("PYTHON_BIN_PATH") or "python3"

    # The interpreter's path is all that Bazel sees of the environment, so it
    # names the lock file's digest: another lock file, other actions.
    digest = _run(repository_ctx, "Reading " + lock, "sha256sum", lock)[:16]
    venv = repository_ctx.path("venv-" + digest)
    interpreter = str(venv.get_child("bin").get_child("python"))

    # Isolated (-I) from the user's own PYTHONPATH and site-packages. A failure
    # below leaves no BUILD file behind, and the next build starts afresh.
    _run(
        repository_ctx,
        "Creating a virtual environment with " + python,
        python,
        "-I",
        "-m",
        "venv",
        str(venv),
    )
    _run(
        repository_ctx,
        "Installing the Python packages of " + lock,
        interpreter,
        "-I",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        lock,
    )
    repository_ctx.file("BUILD", _BUILD.format(interpreter = interpreter))

python_environment = repository_rule(
    implementation = _python_environment_impl,
    attrs = {"requirements_lock": attr.label(allow_single_file = True, mandatory = True)},
    environ = ["PYTHON_BIN_PATH"],
    doc = "A virtual environment holding the locked packages, as a toolchain.",
)
