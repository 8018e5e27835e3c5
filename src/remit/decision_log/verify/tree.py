"""The Merkle tree of RFC 6962 section 2.1 over lines read once, from the first to the last."""

from hashlib import sha256


class Tree:
    """Keeps the roots of the perfect subtrees that the tree of `size` leaves is made of."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take the next leaf hash."""
        size, peaks = self.size, self._peaks
        while size & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        *rest, root = self._peaks or [sha256().digest()]
        for peak in reversed(rest):
            root = sha256(b"\x01" + peak + root).digest()
        return root
