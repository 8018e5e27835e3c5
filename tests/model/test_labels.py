"""Labels join as a semilattice, and a bounded one."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from remit.model.labels import MAX_SOURCES, MORE, PUBLIC_TRUSTED, Confidentiality, Label

LEVELS = st.sampled_from(Confidentiality)
SINGLE = st.builds(lambda level, source: Label(level, (source,) if source else ()), LEVELS, st.text("abc", max_size=2))


def joined(labels: list[Label]) -> Label:
    return reduce(Label.join, labels, PUBLIC_TRUSTED)


def of_sources(numbers: st.SearchStrategy[set[int]]) -> st.SearchStrategy[Label]:
    """Labels as sessions come by them: joins of labels with one source each."""
    return numbers.map(lambda found: joined([Label(sources=(f"tool{n:03}",)) for n in sorted(found)]))


FEW = st.lists(SINGLE, max_size=5).map(joined)
MANY = of_sources(st.sets(st.integers(0, 150), max_size=120))
LABELS = FEW | MANY


@given(LABELS, LABELS, LABELS)
def test_join_is_associative_commutative_and_idempotent(one: Label, two: Label, three: Label) -> None:
    assert one.join(two).join(three) == one.join(two.join(three))
    assert one.join(two) == two.join(one)
    assert one.join(one) == one
    assert one.join(PUBLIC_TRUSTED) == one


@given(FEW, FEW, FEW)
def test_join_is_the_least_upper_bound(one: Label, two: Label, other: Label) -> None:
    join = one.join(two)
    assert one.within(join) and two.within(join)
    if one.within(other) and two.within(other):
        assert join.within(other)


@given(FEW, FEW)
def test_within_is_a_partial_order(one: Label, two: Label) -> None:
    assert one.within(one)
    if one.within(two) and two.within(one):
        assert one == two
    assert one.within(two) == (one.join(two) == two)


@given(LABELS, LABELS)
def test_a_label_is_never_lowered_by_joining(one: Label, two: Label) -> None:
    join = one.join(two)
    assert join.untrusted == (one.untrusted or two.untrusted)
    assert join.confidentiality.rank == max(one.confidentiality.rank, two.confidentiality.rank)
    assert len(join.sources) <= MAX_SOURCES


@given(st.sets(st.integers(0, 200), min_size=MAX_SOURCES + 1, max_size=150))
def test_sources_that_are_too_many_are_said_to_be_more(numbers: set[int]) -> None:
    label = joined([Label(sources=(f"tool{n:03}",)) for n in numbers])
    assert len(label.sources) == MAX_SOURCES
    assert MORE in label.sources


def test_a_source_that_could_not_be_named_is_not_within_what_was_shown() -> None:
    """INVARIANT (an approval is for one exact action): it covers only the labels its approver was shown."""
    shown = joined([Label(sources=(f"tool{n:03}",)) for n in range(MAX_SOURCES + 1)])
    risen = shown.join(Label(sources=("zzz-attacker",)))
    assert not risen.within(shown)


def test_ranks_follow_the_order_of_the_levels() -> None:
    assert [level.rank for level in Confidentiality] == [0, 1, 2, 3]
    assert Confidentiality.PUBLIC.rank < Confidentiality.INTERNAL.rank < Confidentiality.CONFIDENTIAL.rank
