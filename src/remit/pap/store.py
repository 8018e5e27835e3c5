"""What publishing needs of a store: the bundles that were published, and which was active when."""

from typing import Protocol, TypeAlias

Activation: TypeAlias = tuple[str, str, int, str]
"""Digest, the digest it replaced (empty for the first), time (µs since the epoch) and operator."""


class BundleStore(Protocol):
    """Reading back what was published; every call raises `RemitError` (unavailable) if the store cannot answer."""

    def active_bundle(self) -> tuple[str, bytes] | None:
        """Digest and document of the active bundle."""
        ...

    def document(self, digest: str) -> bytes | None:
        """The document of a bundle that was published."""
        ...

    def activations(self) -> list[Activation]:
        """Each activation, newest first."""
        ...
