"""The Merkle tree over the log's lines, exactly as RFC 6962 section 2.1 and RFC 9162 section 2.1 define it."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from remit.model.errors import corrupt, malformed

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

RangeRoot: TypeAlias = Callable[[int, int], bytes]
"""Gives the root over the leaves from an index to before another: `Tiles.root`, or `root_of` over a slice of a list."""


def leaf_hash(line: bytes) -> bytes:
    """The hash of one entry, its line without the newline."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: bytes) -> bytes:
    """The root over hashes of 32 bytes, one behind the other, whose number is a power of two."""
    while len(hashes) > 32:
        hashes = b"".join([hashlib.sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


class Frontier:
    """The roots of the perfect subtrees that a tree of `size` leaves is made of, the largest first.

    It is all that appending needs: `hashes` has one hash (32 bytes) for each one bit of `size`.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Take up where another ended. Raises `RemitError` (corrupt) if the hashes are not those of such a size."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(node) != 32 for node in hashes):
            raise corrupt(f"the stored frontier does not fit a log of {size} entries: verify the log")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What to store, with the size, to take up from here."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf, joining subtrees that became equal in size."""
        joins = self.size
        while joins & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            joins >>= 1
        self._hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for node in reversed(self._hashes[:-1]):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(root: RangeRoot, index: int, size: int) -> list[bytes]:
    """The audit path of the leaf at `index` in the tree of the first `size` leaves, from the leaf up (RFC 6962 section 2.1.1).

    Raises `RemitError` (malformed) if there is no such leaf in that tree.
    """
    if not 0 <= index < size:
        raise malformed(f"there is no entry `{index}` in a log of {size} entries: give an index below the size")
    proof = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + _largest_power_below(stop - start)
        if index < split:
            proof.append(root(split, stop))
            stop = split
        else:
            proof.append(root(start, split))
            start = split
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that `leaf` is at `index` in the tree of that size and root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and reached == root


def consistency_proof(root: RangeRoot, first: int, size: int) -> list[bytes]:
    """That the tree of the first `first` leaves is the beginning of the tree of `size` (RFC 6962 section 2.1.2).

    Empty where `first` is 0 or `size`. Raises `RemitError` (malformed) if `first` exceeds `size`.
    """
    if not 0 <= first <= size:
        raise malformed(f"a log of {size} entries has no earlier state of `{first}` entries: give a smaller size")
    if first in (0, size):
        return []
    proof = []
    start, stop, from_start = 0, size, True
    while first != stop:
        split = start + _largest_power_below(stop - start)
        if first <= split:
            proof.append(root(split, stop))
            stop = split
        else:
            proof.append(root(start, split))
            start, from_start = split, False
    if not from_start:
        proof.append(root(start, stop))
    return proof[::-1]


def verify_consistency(first: int, first_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `first` leaves grew into the tree of `size` (RFC 9162 section 2.1.4.2)."""
    if first in (0, size):
        known = EMPTY_ROOT if first == 0 else root
        return first <= size and not proof and first_root == known
    if not 0 < first < size or not proof:
        return False
    path = list(proof)
    # A first tree that is perfect is a node of the second: its root is not repeated in the proof.
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    node, last = first - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == root


def _largest_power_below(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2)."""
    return 1 << (count - 1).bit_length() - 1
