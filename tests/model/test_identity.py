"""Ids: unique, sortable by time, safe in any text; entity references as Cedar writes them."""

import re

import cedarpy
from hypothesis import given
from hypothesis import strategies as st

from remit.model.identity import EntityRef, new_id

TIMES = st.integers(0, 2**48 * 1000 - 1)


@given(TIMES, TIMES)
def test_ids_sort_by_their_millisecond(one: int, other: int) -> None:
    if one // 1000 < other // 1000:
        assert new_id("dec", one) < new_id("dec", other)


@given(TIMES)
def test_ids_have_one_form(now: int) -> None:
    assert re.fullmatch(r"dec_[0-9a-f]{32}", new_id("dec", now))


@given(st.integers())
def test_no_clock_breaks_an_id(now: int) -> None:
    assert re.fullmatch(r"dec_[0-9a-f]{32}", new_id("dec", now))


def test_ids_of_one_instant_are_unique() -> None:
    assert len({new_id("dec", 1) for _ in range(10_000)}) == 10_000


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=20))
def test_an_entity_is_written_as_cedar_reads_it(name: str) -> None:
    policy = f"permit (principal == {EntityRef('Agent', name)}, action, resource);"
    request = {
        "principal": {"type": "Agent", "id": name}, "action": {"type": "Action", "id": "a"},
        "resource": {"type": "T", "id": "r"}, "context": {},
    }  # fmt: skip
    assert cedarpy.is_authorized(request, policy, []).allowed
