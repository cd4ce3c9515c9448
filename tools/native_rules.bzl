"""Repositories that re-export Bazel's own rules.

Bazel 4 loads macros from @rules_cc and @rules_java while it resolves
toolchains, for a Python target too, and downloads those repositories unless
the workspace defines them.
"""

def _native_rules_impl(repository_ctx):
    package = repository_ctx.attr.package
    repository_ctx.file(package + "/BUILD")
    repository_ctx.file(
        package + "/defs.bzl",
        "".join(["%s = native.%s\n" % (r, r) for r in repository_ctx.attr.rules]),
    )

native_rules = repository_rule(
    implementation = _native_rules_impl,
    attrs = {
        "package": attr.string(mandatory = True),
        "rules": attr.string_list(mandatory = True),
    },
    doc = "Defines @name//package:defs.bzl with the named native rules.",
)
