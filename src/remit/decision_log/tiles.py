"""The tree in tiles of 256 hashes (C2SP tlog-tiles), so that a proof from a log of any size reads only a few of them."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from remit.decision_log.merkle import EMPTY_ROOT, node_hash, perfect_root
from remit.model.errors import corrupt

WIDTH = 256
HEIGHT = 8
"""A full tile is a perfect subtree of this height; its root is one hash of a tile on the next level."""
HASH = 32


class Tile(NamedTuple):
    """Tile `n` of a level: up to 256 hashes of 32 bytes, those of level 0 being leaves."""

    level: int
    n: int
    hashes: bytes


class TileReader(Protocol):
    """Where tiles are stored. Level 0 has full tiles only; the leaves after them are read one by one."""

    def tiles(self, places: Collection[tuple[int, int]]) -> Iterable[Tile]:
        """The tiles at these levels and numbers, those that there are; with fewer than 256 hashes while they grow."""
        ...

    def leaves(self, start: int, stop: int) -> Iterable[bytes]:
        """The leaf hashes from `start` to before `stop`, in order."""
        ...


class Tiles:
    """The tree of the first `size` entries; each tile is read once. Roots are only as right as what is stored: verify what is proven."""

    def __init__(self, stored: TileReader, size: int, *about: int) -> None:
        """`about`: the entries that proofs will be about; their tiles are read at once, with those at the edge of the tree."""
        self._stored = stored
        self._size = size
        self._known: dict[tuple[int, int], bytes] = {}
        places = {(level, n >> HEIGHT * level + HEIGHT) for n in (*about, size) for level in range(_levels(size))}
        self._read(places)

    def root(self, start: int, stop: int) -> bytes:
        """The root over the entries from `start` to before `stop`, which must be a node of some tree of this log (RFC 6962).

        Raises `RemitError` (corrupt) where the stored tree has a hole.
        """
        if start == stop:
            return EMPTY_ROOT
        peaks = []
        while start < stop:
            height = (stop - start).bit_length() - 1
            peaks.append(self._node(height, start >> height))
            start += 1 << height
        root = peaks.pop()
        for peak in reversed(peaks):
            root = node_hash(peak, root)
        return root

    def _node(self, height: int, n: int) -> bytes:
        level, above = divmod(height, HEIGHT)
        tile, first = divmod(n << above, WIDTH)
        hashes = self._hashes(level, tile)[first * HASH : (first + (1 << above)) * HASH]
        if len(hashes) != HASH << above:
            raise corrupt(f"the stored tree has no whole tile {tile} on level {level}: verify the log, and restore a backup")
        return perfect_root(hashes)

    def _hashes(self, level: int, n: int) -> bytes:
        if (level, n) not in self._known:
            self._read({(level, n)})
        known = self._known[level, n]
        if not known and level == 0:
            known = self._known[level, n] = b"".join(self._stored.leaves(n * WIDTH, min(n * WIDTH + WIDTH, self._size)))
        return known

    def _read(self, places: set[tuple[int, int]]) -> None:
        self._known.update(dict.fromkeys(places, b""))
        self._known.update(((tile.level, tile.n), tile.hashes) for tile in self._stored.tiles(places))


def _levels(size: int) -> int:
    """How many levels of tiles a tree of `size` leaves has."""
    return max(1, -(-size.bit_length() // HEIGHT))


def whole(size: int) -> int:
    """How many of the first `size` leaves are in full tiles."""
    return size // WIDTH * WIDTH


def grow(stored: TileReader, start: int, stop: int) -> Iterator[Tile]:
    """The tiles to store, new and changed, as full tiles of leaves grow from `start` leaves to `stop`, both multiples of 256.

    Raises `RemitError` (corrupt) where what is stored is not what a tree of `start` leaves has.
    """
    growing: dict[int, Tile] = {}
    leaves = iter(stored.leaves(start, stop))
    for n in range(start // WIDTH, stop // WIDTH):
        tile = Tile(0, n, b"".join(islice(leaves, WIDTH)))
        if len(tile.hashes) != WIDTH * HASH:
            raise corrupt(
                f"the leaves of entries {n * WIDTH} to {(n + 1) * WIDTH - 1} are not what was written: restore a backup"
            )
        while len(tile.hashes) == WIDTH * HASH:
            yield tile
            growing.pop(tile.level, None)
            tile = _above(stored, growing, tile)
    yield from growing.values()


def _above(stored: TileReader, growing: dict[int, Tile], full: Tile) -> Tile:
    """The tile over a full one, with its root as the newest hash."""
    level, (n, place) = full.level + 1, divmod(full.n, WIDTH)
    before = growing[level].hashes if level in growing else b"".join(tile.hashes for tile in stored.tiles([(level, n)]))
    if len(before) != place * HASH:
        raise corrupt(
            f"the stored tree has {len(before) // HASH} of {place} hashes in tile {n} on level {level}: restore a backup"
        )
    growing[level] = Tile(level, n, before + perfect_root(full.hashes))
    return growing[level]
