"""Erasing a task: its words are nowhere in the store's bytes, exports and listings any more, and the chain still verifies."""

import sqlite3
from pathlib import Path

import pytest

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealed import open_sealed
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Deny
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import TaskId
from remit.model.task import Session
from remit.runtime import administration
from remit.runtime.approving import answering, approvals
from remit.runtime.tasks import close_task
from tests.conftest import OpenStore
from tests.runtime.world import ANA, CARL, World, permit

NAME, WORDS, SEEN, WHY, FAULT = (
    "Erika Mustermann",
    "born in Bielefeld",
    "lives at Heidestraße 17",
    "she asked for it",
    "no such person Erika",
)
PERSONAL = [text.encode() for text in (NAME, "Mustermann", WORDS, SEEN, WHY, FAULT)]


def filled(world: World) -> Session:
    """A task that holds personal data everywhere it can be: purpose, arguments, output, error, an approval with its reason."""
    session = world.open_session(purpose=f"find {NAME} " + "x" * 3000)
    world.perform(session, "read", f"{NAME} {SEEN}", {"who": NAME, "what": [WORDS]})
    failed = permit(world.ask(session, "look", {"who": NAME}))
    world.embedded.report(Outcome(failed.id, session.id, OutcomeStatus.FAILED, FAULT, FAULT)).result()
    denied = world.ask(session, "pay", {"to": NAME})
    assert isinstance(denied, Deny) and denied.approval is not None
    answering.resolve(world.runtime, denied.approval, CARL, True, WHY).result()
    assert isinstance(world.ask(session, "never", {"who": NAME}), Deny)
    return session


def erase(world: World, session: Session) -> None:
    assert session.task is not None
    close_task(world.runtime, session.task, "ana").result()
    administration.erase(world.runtime, session.task, ANA).result()


def files(home: Path) -> dict[str, bytes]:
    """Every file of the folder, byte for byte."""
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def found(home: Path, secrets: list[bytes]) -> list[tuple[str, bytes]]:
    return [(name, secret) for name, content in files(home).items() for secret in secrets if secret in content]


@pytest.mark.sqlite
def test_before_the_erasure_it_can_be_read(world: World) -> None:
    session = filled(world)
    with world.runtime.view.lock:
        key = world.runtime.view.key(session.task)
    assert key is not None
    sealed = [open_sealed(made, key) for made in world.decisions()]
    assert all(one is not None and NAME.encode() in bytes(one.arguments) for one in sealed)
    assert found(world.home, [NAME.encode()]), "the purpose is kept in plain, so that policies and people can read it"


def test_nothing_is_left_in_the_bytes_of_the_store(world: World) -> None:
    session = filled(world)
    secret = world.store.secret(session.task or TaskId(""))
    assert secret is not None and len(secret) == 32
    erase(world, session)
    assert found(world.home, [*PERSONAL, secret]) == [], "right after the erasure, without anything further"
    world.verified()
    assert found(world.home, [*PERSONAL, secret]) == [], "nor in an export"
    world.close()
    assert found(world.home, [*PERSONAL, secret]) == []


@pytest.mark.sqlite
def test_nothing_is_left_while_another_process_reads(open_store: OpenStore) -> None:
    """Another process keeps the write-ahead log from being emptied as long as it reads; it must not keep the secret alive for ever."""
    world = open_store()
    session = filled(world)
    secret = world.store.secret(session.task or TaskId("")) or b"?"
    reader = sqlite3.connect(world.home / "remit.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    try:
        erase(world, session)
    except RemitError as error:
        assert error.kind is ErrorKind.UNAVAILABLE
        reader.close()
        administration.erase(world.runtime, session.task, ANA).result()  # type: ignore[arg-type]
    reader.close()
    world.close()
    open_store(again=True).close()
    assert found(world.home, [*PERSONAL, secret]) == []


@pytest.mark.sqlite
def test_among_many_tasks_only_one_is_erased(world: World) -> None:
    """Keys share pages, and pages are split: no copy of the erased one may be left where a page was reorganised."""
    sessions = [filled(world)] + [world.open_session(purpose=f"task {n} " + "y" * 500) for n in range(60)]
    secrets = {session.task: world.store.secret(session.task or TaskId("")) or b"?" for session in sessions}
    assert len(set(secrets.values())) == len(sessions)
    gone = [sessions[0], *sessions[10:40:3]]
    for session in gone:
        erase(world, session)
    world.close()
    left = b"".join(files(world.home).values())
    assert [task for task in (session.task for session in gone) if secrets[task] in left] == []
    assert all(secrets[session.task] in left for session in sessions if session not in gone)


def test_what_was_sealed_cannot_be_read_by_any_key_that_is_left(world: World) -> None:
    session = filled(world)
    erase(world, session)
    with world.runtime.view.lock:
        assert world.runtime.view.key(session.task) is None
        free = world.runtime.view.key(None)
    assert free is not None
    for entry in world.entries():
        if isinstance(entry.body, DecisionMade):
            with pytest.raises(RemitError):
                open_sealed(entry.body, free)
    assert world.store.observations(session.id) == []


def test_listings_say_that_it_was_erased(world: World) -> None:
    session = filled(world)
    approval = world.store.approvals(None, 10)[0]
    erase(world, session)
    stored = world.store.task(session.task or TaskId(""))
    assert stored is not None and stored.task.purpose == "(erased)"
    assert NAME not in repr([world.store.tasks(10), world.store.approvals(None, 10), world.entries()])
    assert approvals.shown_to_approver(approval, world.runtime.view.key(session.task)) is None


def test_the_log_verifies_and_says_what_happened(world: World) -> None:
    session = filled(world)
    before = world.verified()
    erase(world, session)
    after = world.verified()
    assert after.kinds["key.destroyed"] == 1
    assert after.permits == before.permits and after.size == before.size + 2


def test_a_task_is_closed_before_it_is_erased_and_erased_once(world: World) -> None:
    session = filled(world)
    with pytest.raises(RemitError) as caught:
        administration.erase(world.runtime, session.task, ANA).result()  # type: ignore[arg-type]
    assert caught.value.kind is ErrorKind.REFUSED
    erase(world, session)
    administration.erase(world.runtime, session.task, ANA).result()  # type: ignore[arg-type]
    assert world.verified().kinds["key.destroyed"] == 1


@pytest.mark.parametrize("restart", [False, True])
def test_what_comes_in_after_the_erasure_is_not_kept_either(open_store: OpenStore, restart: bool) -> None:
    """A call that was under way reports its result; a door that does not know yet asks again."""
    world = open_store()
    session = filled(world)
    late = permit(world.ask(session, "read", {"who": NAME}))
    erase(world, session)
    world.embedded.report(Outcome(late.id, session.id, OutcomeStatus.SUCCEEDED, SEEN, FAULT)).result()
    assert isinstance(world.ask(session, "look", {"who": NAME}), Deny)
    if restart:
        world.close()
        world = open_store(again=True)
    assert world.store.observations(session.id) == []
    assert found(world.home, PERSONAL) == []
    with world.runtime.view.lock:
        free = world.runtime.view.key(None)
    assert free is not None
    for entry in world.entries():
        sealed = getattr(entry.body, "sealed", "")
        about = getattr(entry.body, "decision", None) or getattr(entry.body, "id", "")
        if sealed and getattr(entry.body, "task", None) == session.task:
            with pytest.raises(RemitError):
                free.open(sealed, about)
    assert world.verified()


def test_an_approval_of_an_erased_task_can_no_longer_be_given(world: World) -> None:
    session = world.open_session()
    denied = world.ask(session, "pay", {"to": NAME})
    assert isinstance(denied, Deny) and denied.approval is not None
    erase(world, session)
    with pytest.raises(RemitError):
        answering.resolve(world.runtime, denied.approval, CARL, True).result()


def test_another_process_forgets_the_key_with_its_next_decision(open_store: OpenStore) -> None:
    world, other = open_store(), open_store(again=True)
    session = filled(world)
    assert isinstance(other.ask(session, "never"), Deny)
    with other.runtime.view.lock:
        assert other.runtime.view.key(session.task) is not None
    erase(world, session)
    assert isinstance(other.ask(session, "look"), Deny)
    with other.runtime.view.lock:
        other.runtime.view.refresh()
        assert other.runtime.view.key(session.task) is None
