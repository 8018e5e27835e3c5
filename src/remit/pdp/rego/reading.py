"""Answers of Rego policies, read strictly: the sets `permit` and `forbid`, each member saying which policy it is."""

from typing import Any

import msgspec

from remit.pdp.answer import EngineAnswer

MAX_MEMBERS = 1000
"""More policies that decide one request are an error."""
MAX_TEXT = 4096
KEYS = frozenset({"id", "description", "obligation", "requestable", "break_glass"})
"""What a member of `permit` or `forbid` may say: its id, and what a Cedar policy says by annotations."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Unreadable(Exception):
    """An answer that is none."""


def canonical(result: Any) -> bytes:
    """The part of a package's value that is an answer, as one canonical text to keep and to read again.

    Raises `Unreadable` unless `permit` and `forbid` are there, and hold nothing but objects that say which policy they are.
    """
    if not isinstance(result, dict):
        raise Unreadable("the policies gave no answer: is their package loaded, and named as the bundle says?")
    # INVARIANT (fail closed): a set that is not there is no empty set; an engine that lost half of its policies must not permit.
    answer = {name: sorted((_member(one, name) for one in _members(result, name)), key=_encode) for name in ("permit", "forbid")}
    return _encode(answer)


def _members(result: dict[str, Any], name: str) -> list[Any]:
    members = result.get(name)
    if not isinstance(members, list):
        raise Unreadable(f"the policies define no set `{name}`: write `{name} contains {{…}} if …`, or `{name} := set()`")
    if len(members) > MAX_MEMBERS:
        raise Unreadable(f"`{name}` has {len(members)} members, more than {MAX_MEMBERS}")
    return members


def _member(member: Any, name: str) -> dict[str, str]:
    if not isinstance(member, dict) or not member.keys() <= KEYS:
        raise Unreadable(f"a member of `{name}` is no object of {', '.join(f'`{key}`' for key in sorted(KEYS))}")
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in member.values()) or not member.get("id"):
        raise Unreadable(f"a member of `{name}` has no `id`, or something in it that is no text of up to {MAX_TEXT} characters")
    if not all(text.isprintable() for text in member.values()):
        raise Unreadable(f"a member of `{name}` has control characters, which a terminal would obey")
    return member


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    permit: list[dict[str, str]]
    forbid: list[dict[str, str]]


_decode = msgspec.json.Decoder(_Answer).decode


def read_answer(text: bytes) -> EngineAnswer:
    """What a canonical answer says; what cannot be read is a denial with an error."""
    try:
        answer = _decode(text)
    except msgspec.MsgspecError as error:
        return failed(f"the answer of the Rego policies cannot be read ({error})")
    deciding = answer.forbid or answer.permit
    said: dict[str, dict[str, str]] = {}
    for member in deciding:
        if said.setdefault(member["id"], member) != member:
            return failed(f"policy `{member['id']}` says two things at once: give each rule an id of its own")
    allowed = bool(deciding) and not answer.forbid
    silenced = {member["id"]: member for member in answer.permit} if answer.forbid else {}
    return EngineAnswer(allowed, tuple(sorted(said)), (), (), said, silenced)


def failed(*errors: str) -> EngineAnswer:
    """No answer, and why."""
    return EngineAnswer(False, (), errors)
