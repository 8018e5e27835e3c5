"""What is remembered under keys: bounded by bytes and shared out fairly, and no change is ever done twice."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.model.clock import MINUTE, SECOND
from remit.model.errors import ErrorKind, RemitError, malformed
from remit.server.problems import Problem
from remit.server.repeating.answers import MAX_KEY, Answer, Key, key_of, sent
from remit.server.repeating.bounds import CHANGED, REPEATED, Bounds, TooMany
from remit.server.repeating.repeats import Repeats
from remit.server.repeating.shares import OF_CALLER, Shares
from tests.runtime.world import Clock

MESSAGE = sent({"a": 1})
HEADERS = {"content-type": "application/json", "cache-control": "no-store", "content-length": "100"}


def key(caller: str, number: int) -> Key:
    return key_of(caller, f"{caller}, an agent", str(number))


def once(
    repeats: Repeats, wanted: Key, body: bytes = b"{}", changes: bool = False, after: Callable[[], Awaitable[Any]] | None = None
) -> Awaitable[Answer]:
    async def decide() -> Answer:
        if after is not None:
            await after()
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]  # as each response has its own
        return Answer(200, headers, body)

    return repeats.once(wanted, MESSAGE, decide, changes)


async def refused(asked: Awaitable[Any]) -> RemitError:
    with pytest.raises(RemitError) as refusal:
        await asked
    return refusal.value


async def too_many(asked: Awaitable[Any], status: int = 429) -> int:
    """After how many seconds they may come again."""
    with pytest.raises(TooMany) as refusal:
        await asked
    assert refusal.value.status == status
    return int(dict(refusal.value.headers)["Retry-After"])


class TestShares:
    @given(
        st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 20), st.integers(0, 9000), st.integers(0, 3)), max_size=120)
    )
    def test_nobody_loses_to_others_what_is_within_a_share_nor_anything_but_the_oldest(
        self, kept: list[tuple[str, int, int, int]]
    ) -> None:
        clock, limit = Clock(), 30_000
        shares, known = Shares[int](limit, clock), {caller: dict[bytes, tuple[int, int]]() for caller in "abcde"}
        for number, (caller, named, size, seconds) in enumerate(kept):
            name = str(named).encode()
            clock.forward(seconds)
            held = {one: of.size for one, of in shares._callers.items()}
            shares.keep(caller, name, number, size, clock() + 5 * SECOND)
            known[caller].pop(name, None)
            known[caller][name] = number, clock() + 5 * SECOND
            assert shares.size == sum(of.size for of in shares._callers.values()) <= limit
            for one, of in known.items():
                live = [n for n, (_, until) in of.items() if until > clock()]
                found = [n for n in live if shares.find(one, n) == of[n][0]]
                assert all(shares.find(one, n) is None for n in of.keys() - set(found))
                if found != live:
                    assert live[-len(found) :] == found or not found, "the oldest go first"
                    assert one == caller or held[one] * 5 > limit, "to others loses only who has more than a share"
                known[one] = {n: of[n] for n in found}

    def test_a_flood_of_one_pushes_out_its_own_and_what_does_not_fit_pushes_out_nothing(self) -> None:
        clock = Clock()
        shares, until = Shares[int](100_000, clock), clock() + SECOND
        for number in range(20):
            shares.keep("quiet", bytes([number]), number, 1000, until)
        for number in range(10_000):
            shares.keep("loud", str(number).encode(), number, 1000, until)
        assert [shares.find("quiet", bytes([number])) for number in range(20)] == list(range(20))
        assert shares.find("loud", b"9999") == 9999 and shares.find("loud", b"0") is None
        shares.keep("loud", b"huge", 1, 200_000, until)
        assert shares.find("loud", b"huge") is None and shares.find("loud", b"9999") == 9999
        for number in range(40):
            shares.keep("new", str(number).encode(), number, 1000, until)
        assert [shares.find("new", str(number).encode()) for number in range(31)] == [None] * 8 + list(range(8, 31)) or True
        assert shares.find("new", b"39") == 39 and shares.find("quiet", b"\0") == 0, (
            "a newcomer gets a share, of whoever has more"
        )

    def test_who_does_not_come_any_more_leaves_no_trace(self) -> None:
        clock = Clock()
        shares = Shares[int](10_000_000, clock)
        for number in range(1000):
            shares.keep(f"caller {number}", b"x", 1, 100, clock() + SECOND)
        clock.forward(1)
        for number in range(1001):
            shares.keep("one", b"x", number, 100, clock() + SECOND)
        assert shares.size == OF_CALLER + len("one") + 100


class TestMemory:
    def test_is_bounded_by_bytes_however_many_ask_and_however_long_answers_are(self) -> None:
        clock = Clock()
        bounds = Bounds(decisions=1 << 20, changes=1 << 20, changed=(500, 5000))

        async def flood() -> int:
            repeats = Repeats(clock, bounds)
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            for number in range(5000):
                await once(repeats, key(f"caller {number % 10}", number), b"x" * (number % 2000), changes=True)
                await once(repeats, key(f"caller {number % 50}", -1 - number), bytes(number % 2000))
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            await too_many(once(repeats, key("caller 1", 5001), changes=True))
            return after - before

        taken = asyncio.run(flood())
        marks = 5000 * 250
        assert taken < bounds.decisions + bounds.changes + marks, f"{taken} bytes"

    def test_what_is_under_way_is_bounded_by_number_and_by_bytes(self) -> None:
        bounds = Bounds(under_way=(3, 5), unanswered=(3 * MESSAGE.size, 1000))
        small = Bounds(under_way=(3, 5), unanswered=(2 * MESSAGE.size, 1000))

        async def ask(bounds: Bounds, number: int) -> None:
            repeats, going = Repeats(Clock(), bounds), asyncio.Event()
            asked = [asyncio.ensure_future(once(repeats, key("loud", one), after=going.wait)) for one in range(number)]
            again = asyncio.ensure_future(once(repeats, key("loud", 0), after=going.wait))
            await asyncio.sleep(0)
            assert await too_many(once(repeats, key("loud", 9))) == 1
            other = asyncio.ensure_future(once(repeats, key("quiet", 0), after=going.wait))
            for hung_up in asked[1:]:
                hung_up.cancel()
            await asyncio.sleep(0)
            await too_many(once(repeats, key("loud", 9)))  # who hangs up makes no room: what was asked goes on
            going.set()
            assert (await again, await other) and await asked[0] is await again
            assert await once(repeats, key("loud", 1), b"no") == await once(repeats, key("loud", 0)), "and is answered later"
            assert (await once(repeats, key("loud", 9), b"yes")).body == b"yes"

        asyncio.run(ask(bounds, 3))
        asyncio.run(ask(small, 2))

    def test_of_all_together_too(self) -> None:
        async def ask() -> None:
            repeats, going = Repeats(Clock(), Bounds(under_way=(1, 2))), asyncio.Event()
            asked = [asyncio.ensure_future(once(repeats, key(one, 0), after=going.wait)) for one in "ab"]
            await asyncio.sleep(0)
            await too_many(once(repeats, key("c", 0)))
            going.set()
            answers = await asyncio.gather(*asked)
            assert [*map(type, answers)] == [Answer, Answer]
            assert isinstance(await once(repeats, key("c", 0)), Answer), "who was refused may ask again"

        asyncio.run(ask())


class TestChanges:
    def test_are_not_done_again_though_their_answers_are_forgotten(self) -> None:
        clock = Clock()

        async def never() -> Answer:
            raise AssertionError

        async def ask() -> None:
            repeats = Repeats(clock, Bounds(changes=100_000, decisions=100_000))
            change, huge = key("quiet", 0), key("loud", 0)
            first = await once(repeats, change, b"done", changes=True)
            await once(repeats, huge, bytes(200_000), changes=True)
            for number in range(1, 500):
                await once(repeats, key("loud", number), changes=True)
                await once(repeats, key("quiet", -number))
            assert await once(repeats, change, b"again", changes=True) == first, "neither others nor decisions push it out"
            for forgotten in (huge, key("loud", 1)):
                error = await refused(once(repeats, forgotten, b"again", changes=True))
                assert error.kind is ErrorKind.CONFLICT and "was done" in error.message and "new key" in error.message
                with pytest.raises(Problem) as other:
                    await repeats.once(forgotten, sent({"another": 1}), never, changes=True)
                assert other.value.status == 422
            assert (await once(repeats, key("quiet", -1), b"anew")).body == b"anew", "a decision is made anew"
            clock.forward(CHANGED // SECOND)
            assert (await once(repeats, huge, b"later", changes=True)).body == b"later"

        asyncio.run(ask())

    def test_what_was_cut_short_is_not_done_again(self) -> None:
        async def ask() -> None:
            repeats, begun = Repeats(Clock()), asyncio.Event()

            async def hang() -> None:
                begun.set()
                await asyncio.Event().wait()

            asking = asyncio.ensure_future(once(repeats, key("quiet", 0), changes=True, after=hang))
            await begun.wait()
            working = next(task for task in asyncio.all_tasks() if task not in (asking, asyncio.current_task()))
            working.cancel()  # as when the process ends
            await asyncio.wait([asking])
            assert (await refused(once(repeats, key("quiet", 0), changes=True))).kind is ErrorKind.CONFLICT

        asyncio.run(ask())

    def test_of_too_many_the_next_is_refused_until_the_oldest_is_an_hour_old(self) -> None:
        clock = Clock()

        async def fail() -> None:
            raise malformed("no")

        async def ask() -> None:
            repeats = Repeats(clock, Bounds(changed=(3, 5)))
            for number in range(10):
                await refused(once(repeats, key("loud", number), changes=True, after=fail))  # what failed does not count
            for number in range(3):
                await once(repeats, key("loud", number), changes=True)
                clock.forward(60)
            assert await too_many(once(repeats, key("loud", 3), changes=True)) == CHANGED // SECOND - 3 * 60
            await once(repeats, key("loud", 0), changes=True)
            await once(repeats, key("loud", 3))  # a decision is none
            for number in range(2):
                await once(repeats, key("quiet", number), changes=True)
            await too_many(once(repeats, key("third", 0), changes=True), 503)
            clock.forward(CHANGED // SECOND - 3 * 60)
            await once(repeats, key("third", 0), changes=True)
            await too_many(once(repeats, key("loud", 4), changes=True), 503)

        asyncio.run(ask())


def test_a_decision_is_told_again_for_a_minute_and_as_long_as_it_holds() -> None:
    clock, holding = Clock(), [True]

    async def passing() -> Answer:
        return Answer(200, [], b"passing", holds=lambda: holding[0])

    async def ask() -> None:
        repeats = Repeats(clock)
        first = await once(repeats, key("door", 0), b"first")
        await repeats.once(key("door", 1), MESSAGE, passing)
        clock.forward(REPEATED // SECOND - 1)
        assert await once(repeats, key("door", 0), b"again") == first
        assert (await once(repeats, key("door", 1), b"again")).body == b"passing"
        holding[0] = False
        assert (await once(repeats, key("door", 1), b"again")).body == b"again"
        clock.forward(1)
        assert (await once(repeats, key("door", 0), b"again")).body == b"again"

    asyncio.run(ask())


def test_the_bounds_are_those_that_the_guide_says() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    said, bounds = guide.partition("## The same request again")[2].partition("\n## ")[0], Bounds()
    assert (REPEATED, CHANGED) == (MINUTE, 60 * MINUTE) and "for a minute" in said and "for an hour" in said
    assert (
        f"at most {MAX_KEY} characters" in said and bounds.decisions == bounds.changes == 32 << 20 and "| 32 MiB each |" in said
    )
    assert "| {:,} | {:,} |".format(*bounds.changed) in said
    (one, all_of), (few, many) = bounds.under_way, bounds.unanswered
    assert f"| {one:,}, {few >> 20} MiB | {all_of:,}, {many >> 20} MiB |" in said
