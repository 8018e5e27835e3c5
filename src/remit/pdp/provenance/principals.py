"""The principals that a deployment knows: exact destinations, or every address of a domain."""

import re
from collections.abc import Iterable
from functools import lru_cache

from remit.pdp.provenance.folding import exact

_ADDRESS = re.compile(r"[^\s@<>()\[\],;:/\\?#&=\"'`|{}%!]+(@[^\s@<>()\[\],;:/\\?#&=\"'`|{}]+)")
"""A plain address; `eve%evil.net@ours` and `evil.net!eve@ours` are routes through ours to somewhere else (RFC 5321, appendix F.2)."""


def known(value: str, directory: Iterable[str]) -> bool:
    """Whether a value is one of the known principals: exactly, or a plain address of a known `@domain`."""
    wanted = exact(value)
    address = _ADDRESS.fullmatch(wanted)
    domain = address[1] if address and wanted.isascii() else None  # an address that looks like one of ours is not one of ours
    names = _names(directory if isinstance(directory, tuple) else tuple(directory))
    return wanted in names or domain in names


@lru_cache(64)
def _names(directory: tuple[str, ...]) -> frozenset[str | None]:
    return frozenset(map(exact, directory))
