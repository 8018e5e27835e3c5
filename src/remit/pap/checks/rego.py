"""Checks of Rego policies beside their engine: arguments that no tool has, and what an OPA server's own policies leave open."""

from collections.abc import Iterator

from remit.pap.checks.context import Checking
from remit.pap.problems import Problem, did_you_mean, warning
from remit.pap.reading.files import MANIFEST_FILE
from remit.pap.rego.reading import warnings_of


def rego_problems(checking: Checking) -> Iterator[Problem]:
    """What a reviewer should know of the policies in Rego."""
    contents = checking.contents
    if contents.rego is None:
        if contents.manifest.opa is not None and not contents.manifest.opa.revision:
            message = "whatever policies the OPA server has decide: nobody here has checked them, and they may change at any time"
            yield warning(
                (MANIFEST_FILE, 1), "opa-open", message, "pin its bundle by `revision`, or keep the policies in this bundle"
            )
        return
    yield from warnings_of(checking.bundle)
    known = {name for tool in checking.compiled.tools.values() for name in tool.types.root.fields}
    read = contents.rego.reads.at("context").at("args")
    for name in () if read.whole or not known else read.children:
        if name not in known:
            message = (
                f"a Rego policy reads `input.context.args.{name}`, which no tool of the catalogue declares: it may be missing"
            )
            yield warning((contents.rego.modules[0], 1), "argument-nowhere", message, did_you_mean(name, known))
