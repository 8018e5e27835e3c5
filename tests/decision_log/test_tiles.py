"""Tiles against the tree they stand for: whatever was proven over leaves is proven the same over tiles, and a hole is said, not guessed."""

from collections.abc import Collection, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.decision_log.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from remit.decision_log.tiles import Tile, Tiles, grow, whole
from remit.model.errors import ErrorKind, RemitError

WIDE = 256 * 256
LEAVES = [leaf_hash(number.to_bytes(4)) for number in range(WIDE + 3 * 256 + 77)]


class Stored:
    """Leaves and the tiles over them, as a store has them."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.all = leaves
        self.made: dict[tuple[int, int], bytes] = {}
        self.read = 0
        self.tiled = 0

    def tiles(self, places: Collection[tuple[int, int]]) -> list[Tile]:
        self.read += 1
        return [Tile(level, n, self.made[level, n]) for level, n in places if (level, n) in self.made]

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        self.read += 1
        return iter(self.all[start:stop])

    def grow(self, size: int) -> None:
        for tile in grow(self, self.tiled, whole(size)):
            assert len(tile.hashes) <= 256 * 32
            self.made[tile.level, tile.n] = tile.hashes
        self.tiled = whole(size)


@pytest.fixture(scope="module")
def stored() -> Stored:
    """Grown in steps of every kind: less than a tile, many tiles, past a full tile of the second level."""
    made = Stored(LEAVES)
    for size in (1, 255, 256, 700, 1024, WIDE - 256, WIDE - 1, WIDE, WIDE + 300, len(LEAVES)):
        made.grow(size)
    return made


SIZES = st.integers(1, len(LEAVES)) | st.sampled_from([1, 255, 256, 257, 512, WIDE - 1, WIDE, WIDE + 1, WIDE + 256, len(LEAVES)])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_proofs_are_those_over_the_leaves(stored: Stored, size: int, data: st.DataObject) -> None:
    def over_leaves(start: int, stop: int) -> bytes:
        return root_of(LEAVES[start:stop])

    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert Tiles(stored, size).root(0, size) == root_of(LEAVES[:size])
    assert inclusion_proof(Tiles(stored, size).root, index, size) == inclusion_proof(over_leaves, index, size)
    assert consistency_proof(Tiles(stored, size).root, first, size) == consistency_proof(over_leaves, first, size)


def test_a_proof_reads_a_few_tiles(stored: Stored) -> None:
    stored.read = 0
    inclusion_proof(Tiles(stored, len(LEAVES), 70).root, 70, len(LEAVES))
    assert stored.read <= 2


def test_growing_in_steps_or_at_once_makes_the_same_tiles(stored: Stored) -> None:
    once = Stored(LEAVES)
    once.grow(len(LEAVES))
    assert once.made == stored.made
    assert {level for level, _ in once.made} == {0, 1, 2}


@pytest.mark.parametrize("gone", [(1, 0), (2, 0), (0, 1)])
def test_a_tile_that_is_gone_or_short_is_said(stored: Stored, gone: tuple[int, int]) -> None:
    for rest in (b"", stored.made[gone][:-32]):
        holed = Stored(LEAVES[:300])  # the leaves are gone too: while they are there, they do instead of a tile
        holed.made = {**stored.made, gone: rest}
        with pytest.raises(RemitError) as caught:
            Tiles(holed, len(LEAVES)).root(0, len(LEAVES)) if gone[0] == 2 else inclusion_proof(
                Tiles(holed, len(LEAVES)).root, 300, len(LEAVES)
            )
        assert caught.value.kind is ErrorKind.CORRUPT and "verify the log" in caught.value.message


def test_a_tree_does_not_grow_over_a_hole() -> None:
    made = Stored(LEAVES)
    made.grow(1024)
    made.made[1, 0] = made.made[1, 0][:-32]
    with pytest.raises(RemitError) as caught:
        made.grow(2048)
    assert caught.value.kind is ErrorKind.CORRUPT
    short = Stored(LEAVES[:200])
    with pytest.raises(RemitError, match="entries 0 to 255"):
        short.grow(512)
