"""The facts of one request: those that policies can read, typed, and no others."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from remit.pdp.arguments import CedarValue
from remit.pdp.facts.expressions import NoValue
from remit.pdp.facts.fact import ANY, CompiledFact, FactSet
from remit.pdp.facts.finding import Absent, Finder, History
from remit.pdp.facts.types import Misfit, typed

MAX_ITEMS = 100
"""For so many items of `each` an output is looked for; of more there is no fact."""
MAX_VALUE = 1 << 16
"""A fact whose JSON takes more bytes is none."""

_encode = msgspec.json.Encoder().encode


def facts_of(
    facts: FactSet, wanted: Iterable[str] | None, arguments: Mapping[str, Any], history: History
) -> dict[str, CedarValue]:
    """The wanted facts (None: all) in Cedar's JSON form; what cannot be told is absent.

    A function of what the bundle declares, the arguments, and what the session was told; bounded in all of it.
    """
    needed = _needed(facts, wanted)
    plain: dict[str, Any] = {}
    stated: dict[str, CedarValue] = {}
    for fact in facts.facts:
        if fact.name not in needed:
            continue
        try:
            value = _value(facts, fact, {"args": arguments, "facts": dict(plain)}, history)
            if value is None:
                continue
            known = typed(value, fact.type)
            if len(_encode(known)) <= MAX_VALUE:
                plain[fact.name], stated[fact.name] = value, known
        except (Absent, Misfit, NoValue, msgspec.MsgspecError, RecursionError, ArithmeticError, ValueError):
            continue  # INVARIANT (fail closed): what cannot be told is absent, and a policy can ask for what must be there
    return stated if wanted is None else {name: value for name, value in stated.items() if name in set(wanted)}


def _needed(facts: FactSet, wanted: Iterable[str] | None) -> set[str]:
    """The wanted ones, and those that they are made of."""
    if wanted is None:
        return {fact.name for fact in facts.facts}
    needed = set(wanted)
    for place in range(len(facts.facts) - 1, -1, -1):
        fact = facts.facts[place]
        if fact.name in needed:
            needed |= {above.name for above in facts.facts[:place]} if ANY in fact.uses else fact.uses
    return needed


def _value(facts: FactSet, fact: CompiledFact, document: dict[str, Any], history: History) -> Any:
    if fact.of is None:
        return fact.value.of(document)
    finder = Finder(facts, fact, history)
    if fact.each is None:
        return fact.value.of(document | finder.find(document))
    items = fact.each.of(document)
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise Absent
    found = [{"item": item} | finder.find(document | {"item": item}) for item in items]
    return fact.value.of(document | {"found": found})
