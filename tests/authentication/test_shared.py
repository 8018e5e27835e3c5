"""What several processes have seen: counted once among all of them, whatever dies meanwhile."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from remit.authentication.possession.dpop import Proofs
from remit.authentication.possession.replays import Nonces
from remit.authentication.possession.shared import SharedProofs, SharedTable
from remit.authentication.refusal import Code, NotVerified
from remit.model.clock import SECOND
from tests.authentication.minting import NOW
from tests.authentication.test_possession import KEY as HELD
from tests.authentication.test_possession import TOKEN, URL, proof, thumbprint

NOW_ = NOW * SECOND


def digests(many: int) -> list[bytes]:
    return [os.urandom(16) for _ in range(many)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    SharedTable.make(tmp_path / "seen", NOW_)
    return tmp_path / "seen"


def test_nobody_else_may_read_it(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert SharedTable(file).since == NOW_


def test_its_room_is_taken_before_it_is_used(file: Path) -> None:
    there = file.stat()
    assert there.st_blocks * 512 >= there.st_size > 30_000_000, "what is written through memory must find room"


def test_each_is_the_first_once_until_its_time_is_over(file: Path) -> None:
    one, other = SharedProofs(SharedTable(file)), SharedProofs(SharedTable(file))
    for digest in digests(200):
        assert one.first(digest, NOW_ + SECOND, NOW_) and not other.first(digest, NOW_ + SECOND, NOW_)
        assert not one.first(digest, NOW_ + SECOND, NOW_ + SECOND)
        assert other.first(digest, NOW_ + 9 * SECOND, NOW_ + 3 * SECOND), "what is over makes room"
        assert not one.first(digest, NOW_ + 9 * SECOND, NOW_ + 3 * SECOND)


def test_room_is_used_again_and_without_any_nothing_counts(tmp_path: Path) -> None:
    SharedTable.make(tmp_path / "small", NOW_, slots=64)
    proofs = SharedProofs(SharedTable(tmp_path / "small"))
    full = digests(64)
    assert all(proofs.first(digest, NOW_ + SECOND, NOW_) for digest in full)
    with pytest.raises(NotVerified) as refusal:
        proofs.first(os.urandom(16), NOW_ + SECOND, NOW_)
    assert refusal.value.code is Code.UNAVAILABLE
    assert not proofs.first(full[0], NOW_ + SECOND, NOW_), "nothing is forgotten early"
    assert all(proofs.first(digest, NOW_ + 9 * SECOND, NOW_ + 3 * SECOND) for digest in digests(64))


def test_an_owner_is_replaced_only_by_whoever_knows_them(file: Path) -> None:
    table, [digest] = SharedTable(file), digests(1)
    until = NOW_ + SECOND
    assert table.claim(digest, 1, until, NOW_) is None
    assert table.claim(digest, 2, until, NOW_) == 1 == table.claim(digest, 2, until, NOW_, instead_of=3)
    assert table.claim(digest, 2, until, NOW_, instead_of=1) is None
    assert table.claim(digest, 3, until, NOW_, instead_of=1) == 2


def _claiming(file: Path, wanted: list[bytes], number: int, won: Any) -> None:
    table = SharedTable(file)
    for digest in wanted:
        if table.claim(digest, number, NOW_ + SECOND, NOW_) is None:
            won.put(digest)


def _dying(file: Path) -> None:
    table = SharedTable(file)
    with table._alone():
        os.kill(os.getpid(), signal.SIGKILL)


def test_among_processes_one_is_the_first(file: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    won, wanted = spawn.Queue(), digests(300)
    many = [spawn.Process(target=_claiming, args=(file, wanted, number, won)) for number in range(3)]
    for one in many:
        one.start()
    found = [won.get(timeout=30) for _ in wanted]
    for one in many:
        one.join(30)
        assert one.exitcode == 0
    assert sorted(found) == sorted(wanted) and won.empty()
    won.close()
    won.join_thread()


def test_a_process_that_is_killed_leaves_no_lock(file: Path) -> None:
    dying = multiprocessing.get_context("spawn").Process(target=_dying, args=(file,))
    dying.start()
    dying.join(30)
    assert dying.exitcode == -signal.SIGKILL
    assert SharedProofs(SharedTable(file)).first(digests(1)[0], NOW_ + SECOND, NOW_)


def test_a_proof_is_taken_once_among_those_that_share_it_and_its_nonce(file: Path) -> None:
    one, other = (Proofs(SharedProofs(SharedTable(file)), Nonces(b"s" * 32)) for _ in range(2))
    given = proof(nonce=Nonces(b"s" * 32).issue(NOW_))
    one.check(given, TOKEN, thumbprint(HELD), ("POST", URL), NOW_)
    with pytest.raises(NotVerified) as refusal:
        other.check(given, TOKEN, thumbprint(HELD), ("POST", URL), NOW_)
    assert refusal.value.code is Code.INVALID_PROOF
