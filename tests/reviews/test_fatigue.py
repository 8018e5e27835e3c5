"""How people answer, measured over entries that are known."""

from remit.decision_log.encoding import decode, encode_body, seal_line
from remit.decision_log.entry import ApprovalGiven, ApprovalRequested, ApprovalResolved, Entry
from remit.model.clock import MINUTE, SECOND
from remit.reviews.fatigue import Habit, fatigue


def log(*bodies: tuple[int, ApprovalRequested | ApprovalGiven | ApprovalResolved]) -> list[Entry]:
    return [decode(n, seal_line(encode_body(body), "wri_1", n, at, "0" * 64)) for n, (at, body) in enumerate(bodies)]


def asked(name: str, at: int) -> tuple[int, ApprovalRequested]:
    return at, ApprovalRequested(name, "dec", None, "one", "d", at + 30 * MINUTE)


def answered(name: str, at: int, by: str = "carl", state: str = "approved") -> tuple[int, ApprovalResolved]:
    return at, ApprovalResolved(name, "dec", None, state, by, "os", b"")


def test_nothing_is_nothing() -> None:
    found = fatigue([], 0)
    assert (found.requests, found.unanswered, found.waiting, found.overall, found.approvers) == (0, 0, 0, None, {})


def test_time_share_and_rate_of_each_and_of_all() -> None:
    asks = [asked(str(n), 0) for n in range(10)]
    answers = [answered(str(n), (n + 1) * 10 * MINUTE, state="denied" if n == 9 else "approved") for n in range(9)]
    found = fatigue(log(*asks, *answers, answered("9", 95 * MINUTE, "dora", "denied")), 100 * MINUTE)
    assert found.approvers["dora"] == Habit(1, 0, 0.0, 95 * 60.0, 95 * 60.0, 1, 0)
    assert found.approvers["carl"] == Habit(9, 9, 1.0, 50 * 60.0, 90 * 60.0, 6, 0)
    assert found.overall == Habit(10, 9, 0.9, 55 * 60.0, 90 * 60.0, 7, 0)


def test_what_comes_together_is_in_bulk_only_of_one_person() -> None:
    asks = [asked(str(n), 0) for n in range(14)]
    together = [answered(str(n), 100 * SECOND + n * SECOND) for n in range(5)]
    later = [answered(str(n), 400 * SECOND + n * 15 * SECOND) for n in range(5, 9)]
    others = [answered(str(n), 101 * SECOND, "dora") for n in range(9, 13)]
    found = fatigue(log(*asks, *together, *later, *others), 20 * MINUTE)
    assert (found.approvers["carl"].in_bulk, found.approvers["dora"].in_bulk) == (5, 0)
    assert found.overall is not None and found.overall.in_bulk == 5
    apart = [answered(str(n), n * 15 * SECOND) for n in range(5)]
    assert fatigue(log(*asks, *apart), 0).approvers["carl"].in_bulk == 0, "a minute later is not within the minute"


def test_unanswered_cancelled_halves_and_what_is_older() -> None:
    half = 50 * SECOND, ApprovalGiven("b", "dec", None, 1, 2, "carl", "os", b"")
    entries = log(
        asked("old", 0), asked("a", 10), asked("b", 10), asked("c", 10), asked("d", 10), asked("e", 30 * MINUTE), answered("old", 20),
        half, answered("a", 60 * SECOND, "bot", "cancelled"), answered("c", 31 * MINUTE, "", "expired"),
    )  # fmt: skip
    found = fatigue(entries, 31 * MINUTE, since=5)
    assert (found.requests, found.unanswered, found.waiting) == (5, 3, 1)
    assert list(found.approvers) == ["carl"] and found.approvers["carl"].answers == 1
    closed = fatigue(entries, 31 * MINUTE, since=5, is_over=lambda task: task is None)
    assert (closed.requests, closed.unanswered, closed.waiting) == (5, 4, 0), "nobody can answer for a task that is over"
