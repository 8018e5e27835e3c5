"""The stored tree on every store: proofs at any time, stores of before there was one, and logs that are not what was signed."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from remit.decision_log.checkpoint import Checkpoint, sign_checkpoint
from remit.decision_log.keys import Ed25519Signer
from remit.decision_log.merkle import leaf_hash, root_of
from remit.decision_log.tiles import Tiles
from remit.decision_log.verify import verify_proof
from remit.local.head import Head
from remit.model.errors import ErrorKind, RemitError
from remit.storage.postgres import store as postgres
from tests.conftest import OpenStore, StoreUrl
from tests.postgres import Server
from tests.runtime.world import World, permit


def filled(world: World, entries: int = 600) -> World:
    """A log of at least so many entries."""
    session = world.open_session()
    while world.store.log.size() < entries:
        permit(world.ask(session, "look"))
    return world


def tile(world: World, level: int, n: int) -> bytes:
    """The hashes of a stored tile."""
    return b"".join(tile.hashes for tile in world.store.log.tiles([(level, n)]))


def again(world: World) -> Head:
    """The head as another process finds it."""
    return Head(world.home, "remit.local/log", world.store.log)


def change(world: World, server: Server | None, statement: str) -> None:
    """What somebody with the store's password could do."""
    world.tampered = True
    if server is not None:
        server.run(statement, world.store.groups.link.connection().info.dbname)  # type: ignore[attr-defined]
        return
    with sqlite3.connect(world.home / "remit.db", isolation_level=None) as database:
        database.execute(statement)
    database.close()


@pytest.fixture
def changed(store_kind: str, request: pytest.FixtureRequest) -> Any:
    """Changes the store behind its back."""
    server = request.getfixturevalue("server") if store_kind == "postgresql" else None
    return lambda world, statement: change(world, server, statement)


def test_every_entry_and_every_beginning_is_proven(open_store: OpenStore, tmp_path: Path) -> None:
    world = open_store()
    early = world.embedded.head.sign()
    filled(world)
    middle = world.embedded.head.sign()
    filled(world, 700)
    head, log = world.embedded.head, world.store.log
    lines = list(log.lines())
    assert Tiles(log, len(lines)).root(0, len(lines)) == root_of(map(leaf_hash, lines))
    assert tile(world, 0, 1) == b"".join(leaf_hash(line) for line in lines[256:512]) and len(tile(world, 1, 0)) == 2 * 32
    for index in (0, 1, 255, 256, 511, 512, 600, len(lines) - 1):
        (tmp_path / "proof").write_text(head.prove_entry(index))
        report = verify_proof(tmp_path / "proof", head.vkey)
        assert report.verified and report.index == index, report.finding
    for kept in (early, middle, head.sign()):
        (tmp_path / "proof").write_text(head.prove_growth(kept))
        assert verify_proof(tmp_path / "proof", head.vkey, head=kept).verified
    with pytest.raises(RemitError, match="there is no entry"):
        head.prove_entry(len(lines))
    world.verified()


def test_a_store_of_before_there_was_a_tree_gets_one(
    open_store: OpenStore, store_url: StoreUrl, changed: Any, store_kind: str
) -> None:
    world = filled(open_store())
    for newer in (
        "DROP INDEX approvals_state",
        "DROP TABLE tiles",
        "DROP TABLE memories",
        "DROP TABLE definitions",
        "DROP TABLE break_glass",
        "DROP TABLE people",
        "DROP TABLE person_names",
        "DROP TABLE people_groups",
        "DELETE FROM meta WHERE name = 'memories'",
    ):
        changed(world, newer)
    for column in ("spent_version", "spent"):
        changed(world, f"ALTER TABLE agents DROP COLUMN {column}")
    if store_kind == "postgresql":
        changed(world, "ALTER TABLE entries DROP COLUMN place")
    changed(world, "PRAGMA user_version = 2" if store_kind == "sqlite" else "UPDATE alembic_version SET version_num = '0001'")
    if store_kind == "postgresql":
        postgres.upgrade(store_url())
    world = open_store(again=True)
    assert world.embedded.head.prove_entry(3)
    assert len(tile(world, 1, 0)) == world.store.log.size() // 256 * 32
    filled(world, 800)
    assert world.embedded.head.prove_entry(3)


def test_a_log_that_was_written_anew_is_refused_at_the_door(open_store: OpenStore, changed: Any) -> None:
    world = filled(open_store())
    world.embedded.head.sign()
    changed(world, "UPDATE tiles SET hashes = (SELECT hashes FROM tiles WHERE level = 0 AND n = 1) WHERE level = 0 AND n = 0")
    with pytest.raises(RemitError) as caught:
        world.embedded.head.prove_entry(700 % 300)
    assert caught.value.kind is ErrorKind.CORRUPT and "remit log verify" in caught.value.message
    changed(world, "UPDATE tiles SET hashes = (SELECT hashes FROM tiles WHERE level = 0 AND n = 1) WHERE level = 1")
    with pytest.raises(RemitError) as caught:
        again(world)
    assert caught.value.kind is ErrorKind.CORRUPT and "written anew" in caught.value.message


@pytest.mark.sqlite
def test_a_tile_of_another_type_is_a_hole(open_store: OpenStore, changed: Any) -> None:
    world = filled(open_store())
    world.embedded.head.sign()
    changed(world, "UPDATE tiles SET hashes = 'text of some length, such as this' WHERE level = 1")
    with pytest.raises(RemitError) as caught:
        world.embedded.head.prove_entry(3)
    assert caught.value.kind is ErrorKind.CORRUPT


def test_an_entry_that_was_changed_is_not_proven(open_store: OpenStore, changed: Any) -> None:
    world = filled(open_store(), 40)
    line = list(world.store.log.lines())[9]
    key = f"writer = '{world.entries()[9].writer}' AND seq = {world.entries()[9].seq}"
    changed(world, f"UPDATE entries SET line = {_bytes(line.replace(b'permit', b'PERMIT'), world)} WHERE {key}")
    with pytest.raises(RemitError) as caught:
        world.embedded.head.prove_entry(9)
    assert caught.value.kind is ErrorKind.CORRUPT


def _bytes(value: bytes, world: World) -> str:
    return f"'\\x{value.hex()}'::bytea" if (world.home / "remit.db").exists() is False else f"x'{value.hex()}'"


def test_a_resigned_shorter_log_and_two_logs_of_one_key(open_store: OpenStore) -> None:
    """Whoever holds the key and shows another log is caught by any head that was kept."""
    world = filled(open_store(), 30)
    head = world.embedded.head
    signer = Ed25519Signer.load("remit.local/log", world.home / "log.key")
    longer = sign_checkpoint(Checkpoint(signer.name, 5000, bytes(32)), signer)
    with pytest.raises(RemitError) as caught:
        head.prove_growth(longer)
    assert caught.value.kind is ErrorKind.CORRUPT and "truncated or replaced" in caught.value.message
    other = sign_checkpoint(Checkpoint(signer.name, 20, bytes(32)), signer)
    with pytest.raises(RemitError) as caught:
        head.prove_growth(other)
    assert caught.value.kind is ErrorKind.CORRUPT and "one key signed two logs" in caught.value.message
    stranger = Ed25519Signer.generate(signer.name)
    with pytest.raises(RemitError) as caught:
        head.prove_growth(sign_checkpoint(Checkpoint(signer.name, 20, bytes(32)), stranger))
    assert caught.value.kind is ErrorKind.REFUSED


def test_a_log_that_shrinks_while_it_is_open_is_not_signed(open_store: OpenStore, changed: Any, store_kind: str) -> None:
    world = filled(open_store(), 30)
    world.embedded.head.sign()
    where = "idx >= 20" if store_kind == "sqlite" else "(writer, seq) IN (SELECT writer, seq FROM positions WHERE idx >= 20)"
    changed(world, f"DELETE FROM entries WHERE {where}")
    if store_kind == "postgresql":
        changed(world, "DELETE FROM positions WHERE idx >= 20")
    for attempt in (world.embedded.head.sign, lambda: again(world)):
        with pytest.raises(RemitError) as caught:
            attempt()
        assert caught.value.kind is ErrorKind.CORRUPT and "truncated or replaced" in caught.value.message
