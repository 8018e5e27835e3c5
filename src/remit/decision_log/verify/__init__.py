"""Verifies an export of the decision log offline; copied out as a folder, it runs alone: `python -m verify EXPORT --key VKEY`."""

# INVARIANT (the log convinces a stranger): nothing of `remit` is imported in here, only the standard library and `cryptography`.
# docs/log-format.md is all that writer and verifier share.

from .report import Finding, Problem, Report, UnusableInput
from .run import verify_export

__all__ = ["Finding", "Problem", "Report", "UnusableInput", "verify_export"]
