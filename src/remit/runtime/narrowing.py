"""Scopes and budgets only become narrower: from a task type to a task, from a task to what it delegates."""

from collections.abc import Sequence

from remit.model.errors import malformed, refused
from remit.model.flow import flow_grant
from remit.model.labels import Confidentiality
from remit.model.rate import Rate, fault_of
from remit.model.task import Amount, Budgets, Scope
from remit.pdp.patterns import matches
from remit.pdp.provenance.principals import known

MAX_BUDGET = 10**18
MAX_SECONDS = 366 * 24 * 3600
"""The longest a task lives, and a rate looks back."""
MAX_LISTED, MAX_RATES, MAX_NAMED = 1000, 64, 65_536
"""So many entries each list of a scope and of budgets has at most, so many rates there are, and so many characters there are in all: every
decision under the task looks through them, and a person is to be able to."""


def check_size(scope: Scope, budgets: Budgets) -> None:
    """Raises `RemitError` (malformed) for a scope and budgets that are too large."""
    lists = {
        "scope.tools": scope.tools,
        "scope.resources": scope.resources,
        "scope.destinations": scope.destinations,
        "budgets.tools": budgets.tools,
        "budgets.amounts": budgets.amounts,
    }
    for name, listed in lists.items():
        if listed is not None and len(listed) > MAX_LISTED:
            raise malformed(f"`{name}` has {len(listed)} entries, {MAX_LISTED} at most: name groups, patterns or folders instead")
    if len(budgets.rates) > MAX_RATES:
        raise malformed(f"`budgets.rates` has {len(budgets.rates)} entries, {MAX_RATES} at most: leave out what others bound")
    named = [*(name for listed in lists.values() for name in listed or ()), *(scope.flows or ()), *(r.key for r in budgets.rates)]
    if (size := sum(len(str(name)) for name in named)) > MAX_NAMED:
        raise malformed(
            f"scope and budgets name things in {size} characters, {MAX_NAMED} at most: name groups or patterns instead"
        )


def narrow_scope(asked: Scope, above: Sequence[Scope]) -> Scope:
    """The scope a task gets: what is asked for, within everything above it; what is not asked for comes from there.

    Raises `RemitError` (refused) naming what would be wider than the scope above it.
    """
    # INVARIANT (delegation only narrows): a scope that would widen is refused, not silently cut.
    scope = asked
    for bound in above:
        scope = Scope(
            _narrow(scope.tools, bound.tools, "tool", exact=True),
            _narrow(scope.resources, bound.resources, "resource", exact=False),
            _narrow(scope.destinations, bound.destinations, "destination", exact=False),
            _lowest(scope.confidentiality, bound.confidentiality),
            _narrow_flows(scope.flows, bound.flows),
        )
    return scope


def _narrow(asked: tuple[str, ...] | None, bound: tuple[str, ...] | None, what: str, exact: bool) -> tuple[str, ...] | None:
    if bound is None:
        return asked
    if asked is None:
        return bound
    for item in asked:
        if item not in bound and (exact or not any(_within(item, pattern) for pattern in bound)):
            allowed = ", ".join(f"`{known}`" for known in bound) or "none"
            raise refused(f"{what} `{item}` is wider than the scope above, which has {allowed}")
    return asked


def _within(item: str, pattern: str) -> bool:
    """Whether everything that `item` covers is covered by `pattern`; where that cannot be told, it is not."""
    if item == pattern:
        return True
    if pattern.startswith("@"):
        return known(item, (pattern,))
    plain = not any(mark in item for mark in "*?[")
    if pattern.endswith("/") and not any(mark in pattern for mark in "*?["):
        return item.startswith(pattern) and ".." not in item
    return plain and not item.endswith("/") and matches(item, pattern)


def _narrow_flows(asked: tuple[str, ...] | None, bound: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if bound is None:
        return asked
    if asked is None:
        return bound
    for text in asked:
        if not any(flow_grant(text).within(flow_grant(wider)) for wider in bound):
            allowed = ", ".join(f"`{known}`" for known in bound) or "none"
            raise refused(f"data-flow grant `{text}` is wider than the scope above, which has {allowed}")
    return asked


def _lowest(one: Confidentiality | None, other: Confidentiality | None) -> Confidentiality | None:
    if one is None or other is None:
        return one or other
    if one.rank > other.rank:
        raise refused(f"{one.value} data is above the scope above, which ends at {other.value}")
    return one


def narrow_budgets(asked: Budgets, above: Sequence[Budgets]) -> Budgets:
    """The budgets a task gets: the smallest of each that is asked for or set above.

    Raises `RemitError` (malformed) for a budget below zero. What is spent counts all along the chain, so a sub-task cannot gain.
    """
    calls, tools, amounts = asked.calls, dict(asked.tools), dict(asked.amounts)
    if any(not 0 <= value <= MAX_BUDGET for value in (calls or 0, *tools.values(), *amounts.values())):
        raise malformed(f"a budget must lie between 0 and {MAX_BUDGET}")
    for bound in above:
        calls = bound.calls if calls is None else calls if bound.calls is None else min(calls, bound.calls)
        for tool, limit in bound.tools.items():
            tools[tool] = min(limit, tools.get(tool, limit))
        for key, amount in bound.amounts.items():
            amounts[key] = Amount(min(amount, amounts.get(key, amount)))
    return Budgets(calls, tools, amounts, narrow_rates(asked.rates, [bound.rates for bound in above]))


def narrow_rates(asked: Sequence[Rate], above: Sequence[Sequence[Rate]]) -> tuple[Rate, ...]:
    """The rates a task gets: all that are asked for or set above, of two of one key the smaller. Raises `RemitError` (malformed)."""
    found: dict[str, Rate] = {}
    for rate in (*asked, *(rate for rates in above for rate in rates)):
        if fault := fault_of(rate, MAX_SECONDS):
            raise malformed(fault)
        known = found.get(rate.key)
        found[rate.key] = rate if known is None or rate.limit < known.limit else known
    return tuple(found.values())
