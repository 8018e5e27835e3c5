"""Proofs as text that verifies offline: one entry is in the log (C2SP tlog-proof), or the log only grew since a head."""

import base64
from collections.abc import Sequence

INCLUSION = "c2sp.org/tlog-proof@v1"


def inclusion_text(line: bytes, index: int, proof: Sequence[bytes], note: str) -> str:
    """That `line` is the entry at `index` under the signed checkpoint; the line itself goes along as the extra data."""
    extra = base64.b64encode(line).decode()
    return f"{INCLUSION}\nextra {extra}\nindex {index}\n{_hashes(proof)}\n{note}"


def growth_text(size: int, proof: Sequence[bytes], note: str) -> str:
    """That the log of `size` entries is the beginning of the signed one: what a witness is given (C2SP tlog-witness)."""
    return f"old {size}\n{_hashes(proof)}\n{note}"


def _hashes(proof: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
