"""A sub-task that cannot be left as it should: what it has read counts outside all the same, and nobody goes on without it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import remit
from remit.local import entering
from remit.model.decision import Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import SessionId
from remit.model.labels import Confidentiality
from remit.model.task import TaskStatus
from tests.runtime.world import World

LIMITED = "restricted data does not leave"


@remit.guard
def secret() -> str:
    return "restricted"


@remit.guard
def send(to: str) -> str:
    return "sent"


@remit.guard(tool="send")
async def send_later(to: str) -> str:
    return "sent"


@pytest.fixture
def failing(guarded: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets joining what another session saw fail, or work again."""
    kind = type(guarded.runtime.view.store)
    real = kind.observations
    away = [False]

    def observations(self: object, *given: object) -> object:
        if away[0]:
            raise RemitError(ErrorKind.UNAVAILABLE, "the store is away")
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "observations", observations)
    return lambda fails: away.__setitem__(0, fails)


def left(failing: Callable[[bool], None]) -> None:
    """Read something restricted within a sub-task, and go on although it could not be left."""
    with pytest.raises(RemitError, match="away"), remit.task("look it up"):
        secret()
        failing(True)


def test_who_goes_on_goes_on_with_its_label(guarded: World, failing: Callable[[bool], None]) -> None:
    with remit.task(resume=guarded.open_task().id) as outer:
        left(failing)
        failing(False)
        with pytest.raises(remit.Denied, match=LIMITED):
            send("boss@corp.com")
        assert outer.session is not None
        stored = guarded.store.session(outer.session.id)
        assert stored is not None and stored.reached.confidentiality is Confidentiality.RESTRICTED
        with pytest.raises(remit.Denied) as caught:
            send("boss@corp.com")
        assert caught.value.reason is Reason.FORBIDDEN
    guarded.verified()


def test_as_long_as_it_cannot_be_joined_nothing_is_decided(guarded: World, failing: Callable[[bool], None]) -> None:
    with remit.task(resume=guarded.open_task().id):
        left(failing)
        before = len(guarded.decisions())
        for _ in range(2):
            with pytest.raises(RemitError, match="away"):
                send("boss@corp.com")
        with pytest.raises(RemitError, match="away"), remit.task("another way"):
            send("boss@corp.com")
        assert len(guarded.decisions()) == before
        failing(False)
        with pytest.raises(remit.Denied, match=LIMITED):
            asyncio.run(send_later("boss@corp.com"))


def test_the_sub_task_ends_all_the_same(guarded: World, failing: Callable[[bool], None]) -> None:
    task = guarded.open_task()
    with remit.task(resume=task.id):
        left(failing)
        failing(False)
    opened = [state.task for state in guarded.store.tasks(10)]
    assert [one.status for one in opened if one.parent == task.id] == [TaskStatus.CLOSED]


@remit.guard(tool="read")
async def read_later() -> str:
    await asyncio.sleep(0)
    return "a page"


@remit.guard(tool="account")
async def account_later() -> str:
    await asyncio.sleep(0)
    return "an account"


def test_sub_tasks_that_are_left_at_once_are_all_joined(guarded: World) -> None:
    async def below(purpose: str, tool: Callable[[], Awaitable[str]]) -> None:
        async with remit.task(purpose):
            await tool()

    async def both() -> str:
        async with remit.task(resume=guarded.open_task().id) as outer:
            await asyncio.gather(below("one", read_later), below("another", account_later))
            assert outer.session is not None
            return outer.session.id

    for _ in range(5):
        stored = guarded.store.session(SessionId(asyncio.run(both())))
        assert stored is not None and set(stored.label.sources) == {"read", "account"}
    guarded.verified()


def test_none_is_dropped_by_another_that_joins_the_same() -> None:
    """Two at once, each at the first of the list, as it comes when both wait for the store."""
    joined: list[str] = []

    class Entrance:
        def inherit(self, _session: str, child: str) -> str:
            joined.append(child)
            return child

    outer = SessionId("ses_outer")
    entering._owe(outer, SessionId("a"))
    one = entering._settled(Entrance(), outer)  # type: ignore[arg-type]
    next(one)
    entering._owe(outer, SessionId("b"))
    other = entering._settled(Entrance(), outer)  # type: ignore[arg-type]
    next(other)
    for steps in (one, other):
        for _ in steps:
            pass
    assert set(joined) == {"a", "b"} and outer not in entering._owed
