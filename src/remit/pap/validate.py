"""`check`: everything that can be known to go wrong before a bundle decides anything."""

import os

from remit.pap.checks.catalogue import catalogue_problems
from remit.pap.checks.context import Checking
from remit.pap.checks.policies import policy_problems
from remit.pap.checks.types import type_problems
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, Problem, in_order
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import read_bundle


def check(bundle: Bundle) -> tuple[Problem, ...]:
    """Every problem of a bundle that can be read, by file and line; with an error among them it cannot be published."""
    checking = Checking(bundle)
    problems = [
        *catalogue_problems(checking),
        *policy_problems(checking),
        *type_problems(bundle, checking.matches),
    ]
    try:
        read_cases(bundle)
    except BundleError as fault:
        problems.extend(fault.problems)
    return in_order(problems)


def check_folder(folder: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """`check` of a bundle's folder, where it cannot be read too."""
    try:
        return check(read_bundle(folder))
    except BundleError as fault:
        return fault.problems
