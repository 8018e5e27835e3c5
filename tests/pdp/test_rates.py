"""Rates against a naive count: every permit of the last seconds, no more and no less; and when the next is possible."""

from hypothesis import given
from hypothesis import strategies as st

from remit.model.identity import DecisionId, EntityRef
from remit.model.rate import MAX_WINDOW, Rate
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Spent
from remit.model.values import freeze
from remit.pdp.rates import account_after, spend_rates

SECOND = 1_000_000
RATES = st.one_of(
    st.builds(Rate, st.integers(1, 5), st.integers(0, 4), st.sampled_from(["", "a", "b"])),
    st.builds(Rate, st.integers(1, 5), st.integers(0, 4), group=st.just("g")),
    st.builds(lambda seconds, sum: Rate(seconds, tool="a", argument="n", sum=sum), st.integers(1, 5), st.integers(0, 90_000)),
)
CALLS = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.sampled_from(["a", "b", "c"]), st.integers(0, 5)), max_size=30)
GROUPS = {"a": ("g",), "b": ("g", "h"), "c": ()}


def asked(tool: str, n: int = 1) -> EvaluationRequest:
    return EvaluationRequest(EntityRef("Agent", "bot"), TOOL_CALL, EntityRef("Tool", tool), freeze({"n": n}))


def counts(rate: Rate, tool: str, n: int) -> int:
    """What a call counts for."""
    about = tool == rate.tool if rate.tool else rate.group in GROUPS[tool] if rate.group else True
    return (n * 10_000 if rate.argument else 1) if about else 0


@given(st.lists(RATES, min_size=1, max_size=3, unique_by=lambda rate: rate.key), CALLS)
def test_they_let_pass_what_a_naive_count_does(rates: list[Rate], calls: list[tuple[int, str, int]]) -> None:
    spent, now, past = Spent(), 1_800_000_000 * SECOND, list[tuple[int, str, int]]()
    for after, tool, n in calls:
        now += after
        left = {}
        for rate in rates:
            used = [counts(rate, *call) for time, *call in past if time > now - rate.seconds * SECOND]  # type: ignore[arg-type]
            left[rate.key] = rate.limit - sum(used)
        applies = [
            rate for rate in rates if (not rate.tool or rate.tool == tool) and (not rate.group or rate.group in GROUPS[tool])
        ]
        fits = all(counts(rate, tool, n) <= left[rate.key] for rate in applies)
        then, overrun = spend_rates(spent, rates, asked(tool, n), GROUPS[tool], now)
        assert fits == (overrun is None), (left, overrun)
        if overrun is None:
            spent = then
            past.append((now, tool, n))
        elif overrun.again is not None:
            _, still = spend_rates(spent, rates, asked(tool, n), GROUPS[tool], overrun.again - 1)
            _, gone = spend_rates(spent, rates, asked(tool, n), GROUPS[tool], overrun.again)
            assert still is not None and gone is None and overrun.again > now
        assert all(len(window) <= MAX_WINDOW for window in spent.rates.values())


def test_a_sum_of_many_small_parts_remembers_no_more_than_it_may() -> None:
    rate, spent, now = Rate(10, tool="a", argument="n", sum=10**9), Spent(), 10**15
    for step in range(MAX_WINDOW):
        spent, overrun = spend_rates(spent, [rate], asked("a"), (), now + step)
        assert overrun is None
    _, overrun = spend_rates(spent, [rate], asked("a"), (), now + MAX_WINDOW)
    assert overrun is not None and overrun.again == now + 10 * SECOND
    spent, overrun = spend_rates(spent, [rate], asked("a"), (), overrun.again)
    assert overrun is None and len(spent.rates[rate.key]) == MAX_WINDOW


def test_a_clock_set_back_a_little_frees_nothing() -> None:
    rate, now = Rate(10, 2), 10**15
    spent, _ = spend_rates(Spent(), [rate], asked("a"), (), now)
    spent, _ = spend_rates(spent, [rate], asked("a"), (), now - SECOND // 2)
    _, overrun = spend_rates(spent, [rate], asked("a"), (), now + 10 * SECOND - 1)
    assert overrun is not None


def test_what_never_fits_says_so() -> None:
    _, overrun = spend_rates(Spent(), [Rate(10, tool="a", argument="n", sum=10_000)], asked("a", 2), (), 0)
    assert overrun is not None and overrun.again is None and "below what this asks for" in overrun.words(0)


def test_an_account_forgets_rates_that_are_gone() -> None:
    old, new = Rate(10, 5, "a"), Rate(20, 5, "a")
    account, _ = account_after(Spent(), [old], asked("a"), (), 1, DecisionId("d1"))
    account, _ = account_after(account, [new], asked("a"), (), 2, DecisionId("d2"))
    assert account.rates.keys() == {new.key} and account.version
