"""Verifies exports, archives and proofs of the decision log offline; copied out, it runs alone: `python -m verify FILE --key VKEY`."""

# INVARIANT (the log convinces a stranger): nothing of `remit` is imported in here, only the standard library, `cryptography`, and for
# archives `pyarrow`. docs/log-format.md is all that writer and verifier share.

from .archive import is_archive, verify_archive
from .proofs import ProofReport, is_proof, verify_proof
from .report import ArchiveReport, Finding, Problem, Report, UnusableInput
from .run import verify_export

__all__ = [
    "ArchiveReport",
    "Finding",
    "Problem",
    "ProofReport",
    "Report",
    "UnusableInput",
    "is_archive",
    "is_proof",
    "verify_archive",
    "verify_export",
    "verify_proof",
]
