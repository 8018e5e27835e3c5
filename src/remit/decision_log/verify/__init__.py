"""Verifies exports of the decision log, and proofs from it, offline; copied out, it runs alone: `python -m verify FILE --key VKEY`."""

# INVARIANT (the log convinces a stranger): nothing of `remit` is imported in here, only the standard library and `cryptography`.
# docs/log-format.md is all that writer and verifier share.

from .proofs import ProofReport, is_proof, verify_proof
from .report import Finding, Problem, Report, UnusableInput
from .run import verify_export

__all__ = ["Finding", "Problem", "ProofReport", "Report", "UnusableInput", "is_proof", "verify_export", "verify_proof"]
