"""The tree against RFC 6962: its published test vectors, and a naive reading of its definitions."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.decision_log.merkle import (
    EMPTY_ROOT,
    Frontier,
    RangeRoot,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from remit.decision_log.verify.tree import Tree
from remit.model.errors import ErrorKind, RemitError
from tests.decision_log.building import naive_root

# The eight leaves of the Certificate Transparency reference implementation, and the root after each.
CT_LEAVES = [
    leaf_hash(bytes.fromhex(data))
    for data in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_96A2 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_5F08 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_6B47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_CA85 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_BC1A = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_0EBC = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

leaf_lists = st.lists(st.binary(min_size=32, max_size=32), max_size=40)


def among(leaves: Sequence[bytes]) -> RangeRoot:
    """Roots over ranges of a list, as a log finds them in its tiles."""
    return lambda start, stop: root_of(leaves[start:stop])


def hexes(proof: Sequence[bytes]) -> list[str]:
    return [node.hex() for node in proof]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    assert root_of(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "published"),
    [
        (0, 1, []),
        (0, 8, [_96A2, _5F08, _6B47]),
        (5, 8, [_BC1A, _CA85, CT_ROOTS[4]]),
        (2, 3, [CT_ROOTS[2]]),
        (1, 5, [CT_ROOTS[1], _5F08, _BC1A]),
    ],
)
def test_published_inclusion_proofs(index: int, size: int, published: list[str]) -> None:
    proof = inclusion_proof(among(CT_LEAVES), index, size)
    assert hexes(proof) == published
    assert verify_inclusion(CT_LEAVES[index], index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(
    ("first", "size", "published"),
    [
        (1, 1, []),
        (1, 8, [_96A2, _5F08, _6B47]),
        (6, 8, [_0EBC, _CA85, CT_ROOTS[4]]),
        (2, 5, [_5F08, _BC1A]),
    ],
)
def test_published_consistency_proofs(first: int, size: int, published: list[str]) -> None:
    proof = consistency_proof(among(CT_LEAVES), first, size)
    assert hexes(proof) == published
    roots = [bytes.fromhex(root) for root in CT_ROOTS]
    assert verify_consistency(first, roots[first], size, roots[size], proof)


@given(leaf_lists)
def test_root_is_that_of_the_definition_and_of_the_verifier(leaves: list[bytes]) -> None:
    verifier = Tree()
    for leaf in leaves:
        verifier.add(leaf)
    assert root_of(leaves) == verifier.root() == naive_root(leaves)


@given(leaf_lists, st.data())
def test_a_frontier_goes_on_from_what_was_stored(leaves: list[bytes], data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(leaves)))
    first = Frontier()
    for leaf in leaves[:stop]:
        first.append(leaf)
    again = Frontier(first.size, first.hashes)
    for leaf in leaves[stop:]:
        again.append(leaf)
    assert again.root() == naive_root(leaves)
    assert first.root() == naive_root(leaves[:stop])
    assert again.size == len(leaves)


@pytest.mark.parametrize(("size", "hashes"), [(1, []), (3, [b"a" * 32]), (2, [b"a" * 31]), (-1, [b"a" * 32])])
def test_a_frontier_that_does_not_fit_is_refused(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(RemitError) as caught:
        Frontier(size, hashes)
    assert caught.value.kind is ErrorKind.CORRUPT


@given(leaf_lists.filter(bool), st.data())
def test_inclusion_is_proven_for_that_leaf_there_and_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(among(leaves), index, size), naive_root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(node_hash(leaves[index], b""), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not verify_inclusion(leaves[index], index, size, proof, node_hash(root, b""))
    assert not any(verify_inclusion(leaves[index], index, size, proof[:cut], root) for cut in range(len(proof)))
    for other in range(size):
        assert verify_inclusion(leaves[index], other, size, proof, root) is _same(leaves, index, other)


def _same(leaves: Sequence[bytes], index: int, other: int) -> bool:
    """Whether equal leaves stand at both places, with equal proofs."""
    return leaves[index] == leaves[other] and inclusion_proof(among(leaves), index, len(leaves)) == inclusion_proof(
        among(leaves), other, len(leaves)
    )


@given(leaf_lists, st.data())
def test_consistency_is_proven_for_a_beginning_and_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    size = len(leaves)
    first = data.draw(st.integers(0, size))
    proof, root, before = consistency_proof(among(leaves), first, size), naive_root(leaves), naive_root(leaves[:first])
    assert verify_consistency(first, before, size, root, proof)
    assert not verify_consistency(first, node_hash(before, b""), size, root, proof)
    assert not verify_consistency(first, before, size, root, [*proof, root])
    if first:
        assert not verify_consistency(first, before, size, node_hash(root, b""), proof)
    for place in range(len(proof)):
        changed = [*proof[:place], node_hash(proof[place], b""), *proof[place + 1 :]]
        assert not verify_consistency(first, before, size, root, changed)
        assert not verify_consistency(first, before, size, root, proof[:place])


@given(leaf_lists.filter(lambda leaves: len(leaves) > 1), st.data())
def test_a_rewritten_log_has_no_consistency_proof(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(leaves) - 1))
    place = data.draw(st.integers(0, first - 1))
    rewritten = [*leaves[:place], node_hash(leaves[place], b""), *leaves[place + 1 :]]
    proof = consistency_proof(among(rewritten), first, len(leaves))
    assert not verify_consistency(first, naive_root(leaves[:first]), len(leaves), naive_root(rewritten), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(RemitError, match="there is no entry"):
        inclusion_proof(among(CT_LEAVES), index, size)
    assert not verify_inclusion(CT_LEAVES[0], index, size, [], CT_LEAVES[0])


@pytest.mark.parametrize(("first", "size"), [(4, 3), (-1, 3)])
def test_no_earlier_state_beyond_the_log(first: int, size: int) -> None:
    with pytest.raises(RemitError, match="no earlier state"):
        consistency_proof(among(CT_LEAVES), first, size)
    assert not verify_consistency(first, EMPTY_ROOT, size, EMPTY_ROOT, [])


def test_a_shorter_log_is_never_consistent_with_a_longer_one_seen_before() -> None:
    assert not verify_consistency(5, bytes.fromhex(CT_ROOTS[5]), 4, bytes.fromhex(CT_ROOTS[4]), [])
    assert not verify_consistency(5, bytes.fromhex(CT_ROOTS[5]), 0, EMPTY_ROOT, [])


def test_a_proof_that_ends_below_the_root_proves_nothing() -> None:
    roots = [bytes.fromhex(root) for root in CT_ROOTS]
    proof = consistency_proof(among(CT_LEAVES), 1, 2)
    assert verify_consistency(1, roots[1], 2, roots[2], proof)
    assert not verify_consistency(1, roots[1], 3, roots[2], proof)
