"""What a door says is what the server reads, and what the server decides is what the door is told: the same nouns on both sides."""

import tracemalloc
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from remit.model.decision import ApproverRule, Basis, Decision, Deny, Obligation, Permit, Reason, Steering
from remit.model.errors import STORE_FAILED, RemitError
from remit.model.hints import Hints
from remit.model.identity import ApprovalId, BreakGlassId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.request import EvaluationRequest, Tier, readable
from remit.model.values import NO_ARGUMENTS, freeze, read_json
from remit.pep.remote import messages as said
from remit.server.api.messages import answer_of, asked_in, is_door, request_of

TEXT = some.text(some.characters(exclude_categories=()), max_size=12)
NAME = some.text(some.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(1 << 63), (1 << 64) - 1) | some.floats(allow_nan=False, allow_infinity=False) | NAME,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(NAME.filter(lambda name: name[:2] != "__"), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
OBJECT = some.dictionaries(NAME.filter(lambda name: name[:2] != "__" and name != "remit"), VALUES, max_size=4)
MAYBE = some.none() | some.booleans()
ID = NAME | some.none()


@some.composite
def requests(draw: Any) -> EvaluationRequest:
    parts = {name: values for name in ("subject", "resource", "context") if (values := draw(OBJECT))}
    arguments = draw(OBJECT)
    task, session = draw(ID), draw(ID)
    return EvaluationRequest(
        EntityRef(draw(NAME), draw(TEXT)),
        draw(NAME),
        EntityRef(draw(NAME), draw(TEXT)),
        freeze(arguments) if arguments else NO_ARGUMENTS,
        TaskId(task) if task else None,
        SessionId(session) if session else None,
        draw(TEXT),
        draw(TEXT),
        draw(TEXT),
        Hints(draw(MAYBE), draw(MAYBE), draw(MAYBE), draw(MAYBE), draw(MAYBE)),
        draw(NAME | some.just("")).encode(),
        freeze(parts) if parts else NO_ARGUMENTS,
    )


def typed(request: EvaluationRequest) -> tuple[Any, ...]:
    """By canonical form: `1`, `1.0` and true are three values."""
    parts = msgspec.structs.asdict(request)
    return tuple(part.canonical if name in ("arguments", "properties") else part for name, part in parts.items())


@settings(max_examples=400, deadline=None)
@given(requests())
def test_a_request_arrives_as_it_was_asked(request: EvaluationRequest) -> None:
    message = read_json(said.evaluation(request))
    assert is_door(message)
    assert typed(request_of(message)) == typed(readable(request))


def test_what_only_a_door_may_say_cannot_be_said_by_a_property() -> None:
    request = EvaluationRequest(
        EntityRef("user", "a"), "read", EntityRef("r", "b"), NO_ARGUMENTS, properties=freeze({"context": {"remit": 1}})
    )
    assert "`remit`" in request_of(read_json(said.evaluation(request))).malformed


@pytest.mark.parametrize("filling", ["{}", '"' + "x" * 900 + '😀"'])
def test_what_is_remembered_of_bodies_is_bounded(filling: str) -> None:
    bodies = []
    for number in range(1100):
        many = 3400 // (len(filling.encode()) + 1) - number % 7
        junk = f"[{number},{','.join([filling] * max(many, 1))}]"
        bodies.append(
            '{"subject":{"type":"Agent","id":"x"},"action":{"name":"tool.call","properties":{"a":'
            + junk
            + "}},"
            + '"resource":{"type":"Tool","id":"look"}}'
        )
    tracemalloc.start()
    try:
        for body in bodies:
            assert asked_in(body.encode()).request.resource.id == "look"
        assert tracemalloc.get_traced_memory()[0] < 24 << 20
    finally:
        tracemalloc.stop()
    usual = b'{"subject":{"type":"Agent","id":"x"},"action":{"name":"tool.call"},"resource":{"type":"Tool","id":"look"}}'
    assert asked_in(usual) is asked_in(usual)


OBLIGATION = some.builds(Obligation, NAME, TEXT.filter(str.isprintable), NAME)
BASIS = some.builds(
    Basis,
    some.lists(NAME, max_size=3).map(tuple),
    some.lists(NAME, max_size=2).map(tuple),
    some.just(0),
    some.just(b"{}"),
    some.lists(NAME, max_size=2).map(tuple),
    some.lists(some.builds(Steering, NAME, NAME, NAME, NAME, NAME), max_size=2).map(tuple),
    NAME,
    some.lists(NAME, max_size=2).map(tuple),
)
DECISION_ID = some.binary(min_size=16, max_size=16).map(lambda number: DecisionId(f"dec_{number.hex()}"))
YES = (Reason.PERMITTED, Reason.BREAK_GLASS)
DENYING = some.sampled_from([one for one in Reason if one not in YES])


def fitting(permit: Permit, glass: str | None, denial: Reason) -> Permit:
    """One that does not contradict itself."""
    if not permit.enforced:
        return replace(permit, reason=denial)
    if glass is not None:
        return replace(permit, reason=Reason.BREAK_GLASS, break_glass=BreakGlassId(glass))
    return replace(permit, reason=Reason.PERMITTED, basis=replace(permit.basis, errors=()))


ANY = some.builds(
    Permit, DECISION_ID, some.sampled_from(Tier), some.integers(1, 1 << 62), some.lists(OBLIGATION, max_size=3).map(tuple),
    some.sampled_from(Reason), NAME, BASIS, some.none() | NAME.map(ApprovalId), some.booleans(),
)  # fmt: skip
PERMITS = some.builds(fitting, ANY, some.none() | NAME, DENYING)
APPROVED = some.tuples(some.none() | some.sampled_from(ApproverRule), some.none() | NAME.map(ApprovalId))
DENIALS = some.builds(
    lambda one, reason, asked, obligations: Deny(one.id, reason, one.message, one.tier, *asked, obligations, one.basis),
    ANY, DENYING, APPROVED, some.lists(OBLIGATION, max_size=3).map(tuple),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(PERMITS | DENIALS)
def test_a_decision_arrives_as_it_was_made(decision: Decision) -> None:
    assert said.decision(msgspec.json.encode(answer_of(decision, door=True)), 0) == decision


def test_what_is_for_the_log_alone_does_not_arrive() -> None:
    away = Deny(DecisionId("dec_" + "0" * 32), Reason.STORE_UNAVAILABLE, "the disk under `/srv` is full", told=STORE_FAILED)
    arrived = said.decision(msgspec.json.encode(answer_of(away, door=True)), 0)
    assert arrived == replace(away, message=STORE_FAILED, told="")


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_a_permit_that_contradicts_itself_is_none(permit: Permit) -> None:
    whole = msgspec.json.encode(answer_of(permit, door=True))
    if (permit.reason is Reason.PERMITTED and not permit.basis.errors) if permit.enforced else permit.reason not in YES:
        assert said.decision(whole, 0) == permit
    else:
        with pytest.raises(said.Unreadable):
            said.decision(whole, 0)


@settings(max_examples=200, deadline=None)
@given(some.binary(max_size=200) | VALUES.map(msgspec.json.encode))
def test_anything_else_is_no_decision(body: bytes) -> None:
    with pytest.raises(said.Unreadable):
        said.decision(body, 0)


@settings(max_examples=200, deadline=None)
@given(some.integers(100, 599), some.binary(max_size=50) | VALUES.map(msgspec.json.encode))
def test_a_problem_is_an_error_or_none(status: int, body: bytes) -> None:
    with suppress(said.Unreadable):
        assert isinstance(said.problem(status, body), RemitError)
