"""Who logs in, remembered: what an issuer's tokens say of their own holder, where its settings ask for that."""

import logging
from typing import Any

from msgspec.structs import replace

from remit.inventory.directory import Directory
from remit.inventory.people import MAX_NAMES, checked_person, distinct, is_news, next_version, one_email
from remit.local.trust import Issuer, PeopleClaims
from remit.local.wiring import Embedded
from remit.model.caller import Caller, Role, VerifiedToken
from remit.model.clock import DAY
from remit.model.errors import RemitError, refused
from remit.model.identity import Operator, new_id
from remit.model.person import LOGIN, Person, PersonId, folded
from remit.runtime.people import PeopleUpdate, change_people
from remit.server.revisions import Revisions

_log = logging.getLogger("remit")
MAX_KNOWN = 10_000
BY = "login"
"""Who an entry says has changed somebody who logged in: their own name beside their id would tell who they were, once they are erased."""
_SERVICES = frozenset({Role.ENFORCEMENT_POINT, Role.PROVISIONER})
"""Who has no other role is no person."""

_NOTHING = PeopleClaims("", "", "", "", "")


class Remembered:
    """The holders of tokens, as they were last remembered by this process; in the store is what all processes remember."""

    def __init__(self, embedded: Embedded, revisions: Revisions) -> None:
        self._embedded, self._revisions = embedded, revisions
        self._known: dict[tuple[str, str], tuple[Person, int, int]] = {}

    async def take(self, token: VerifiedToken, issuer: Issuer, caller: Caller, known_here: bool) -> None:
        """Remember what a token says of its holder, if its issuer's are; of whom a source knows by `ISSUER#SUBJECT` (`known_here`) in any
        case by what name they go here. Raises `RemitError` where the store does not take it."""
        claims = issuer.people or (_NOTHING if known_here else None)
        if claims is None or caller.roles <= _SERVICES:
            return
        now, key = self._embedded.runtime.clock(), (token.issuer, token.subject)
        said = _said(token, claims, caller, now)
        known, revision = self._known.get(key), self._revisions.now()
        same = known is not None and not is_news(known[0], said) and 0 <= now - known[1] < DAY
        # INVARIANT (fail closed): what was erased since is remembered anew before its holder does anything.
        if known is not None and same and (known[2] == revision or self._kept(said)):
            self._known[key] = known[0], known[1], revision
            return
        # INVARIANT (fail closed): names that are not on record join nobody, and two eyes could be four; so it is before anything is done.
        await change_people(self._embedded.runtime, lambda: self._news(said, now), Operator(BY, token.issuer))
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = said, now, revision

    def _kept(self, said: Person) -> bool:
        """Whether the store has them still."""
        found = self._embedded.store.people_named(folded(said.also[0]))
        return any(one.source == said.source and one.external_id == said.external_id for one in found)

    def _news(self, said: Person, now: int) -> PeopleUpdate:
        store = self._embedded.store
        found = store.people_named(folded(said.also[0]))
        before = next((one for one in found if one.source == said.source and one.external_id == said.external_id), None)
        taken = _of_one(said, before, Directory(store.people_named, store.person))
        if before is None:
            return PeopleUpdate((next_version(None, taken, now),))
        whole = _still_known(before, taken)
        if is_news(before, whole):
            return PeopleUpdate((next_version(before, whole, now),))
        return PeopleUpdate((), (before.id,) if now - before.seen >= DAY else ())


def _of_one(said: Person, before: Person | None, directory: Directory) -> Person:
    """What is said, without names that would make one of two people whom a source tells apart."""
    # INVARIANT (fail closed, and for nobody else): what somebody says of themselves joins no others, and bars none of them.
    theirs = [*said.also, *(before.joining if before is not None else ())]
    given = []
    for name in (said.user_name, said.email):
        if name and directory.are_two(theirs, name):
            _log.warning("a name that `%s` claims is not remembered: the directory has it as another person's", said.also[0])
            continue
        given.append(name)
        theirs.append(name)
    emails = tuple([one for one in said.emails if one.value in given])
    return replace(said, user_name=said.user_name if said.user_name in given else said.also[-1], emails=emails)


def _still_known(before: Person, said: Person) -> Person:
    """What is said now, with every name that they went by before. Raises `RemitError` (refused) for too many."""
    # INVARIANT (fail closed): whoever can change what their tokens say of them does not become somebody else by it.
    earlier = (*before.also, before.user_name, *[one.value for one in before.emails])
    current = {said.user_name, *[one.value for one in said.emails]}
    also = distinct((*said.also, *[name for name in earlier if name not in current]))
    if len(also) + len(said.emails) > MAX_NAMES:
        raise refused(f"`{said.user_name}` has gone by more than {MAX_NAMES} names: `remit people erase {before.id}` begins anew")
    return replace(said, also=also)


def identity_in(token: VerifiedToken) -> str:
    """What names the holder of a token of another's issuer, whatever else they are called."""
    return f"{token.issuer}#{token.subject}"


def names_in(token: VerifiedToken, issuer: Issuer | None, caller: Caller) -> tuple[str, ...]:
    """Every name by which the holder of a token can be gone: whatever they claim, verified or not, can show that of themselves."""
    if issuer is None:
        return (caller.name,)
    claimed = (_text(token, issuer.people.user_name), _text(token, issuer.people.email)) if issuer.people is not None else ()
    return distinct((caller.name, identity_in(token), *claimed))


def _said(token: VerifiedToken, claims: PeopleClaims, caller: Caller, now: int) -> Person:
    """What is remembered: of the token's own subject, and what cannot be kept left out."""
    names = distinct((identity_in(token), caller.name))
    given = PersonId(new_id("per", now)), f"{LOGIN}{token.issuer}", _text(token, claims.user_name) or caller.name
    # An address that its issuer has not verified is what somebody says of themselves.
    email = _text(token, claims.email) if token.claims.get("email_verified") is True else ""
    groups = token.claims.get(claims.groups) if claims.groups else None
    try:
        return checked_person(
            Person(
                *given,
                external_id=token.subject,
                also=names,
                name=_text(token, claims.name),
                emails=one_email(email),
                manager=_text(token, claims.manager),
                groups=distinct(one for one in groups if isinstance(one, str)) if isinstance(groups, list) else (),
                since=now,
                seen=now,
            )
        )
    except RemitError as error:
        _log.warning("of a caller only the names are remembered: %s", error.message)
        return checked_person(Person(given[0], given[1], caller.name, token.subject[:256], names, since=now, seen=now))


def _text(token: VerifiedToken, claim: str) -> str:
    value: Any = token.claims.get(claim) if claim else None
    return value.strip() if isinstance(value, str) else ""
