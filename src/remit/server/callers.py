"""Who is calling: asked by every endpoint before it does anything."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from starlette.requests import Request

from remit.authentication.issuers import SPIFFE
from remit.authentication.possession.dpop import ALGORITHMS
from remit.authentication.refusal import Code, NotVerified, challenges, invalid
from remit.authentication.requests import Sent, authenticate
from remit.authentication.verify import REMEMBERED, Shown
from remit.authentication.waiting import awaited
from remit.credentials.minting import AGENT_PREFIX, OPERATOR_PREFIX
from remit.inventory.agents import checked_name
from remit.inventory.directory import Directory
from remit.local.trust import Issuer, Trust
from remit.local.wiring import Embedded
from remit.model.caller import UNPROVEN, Caller, Proof, Role, VerifiedToken
from remit.model.errors import RemitError, refused
from remit.model.identity import Agent, AgentId, SessionId, TaskId
from remit.model.person import OwnerState
from remit.pdp.memo import Memo
from remit.runtime.acting import unconfirmed
from remit.runtime.directory import directory_of
from remit.server.known import Known
from remit.server.problems import Problem
from remit.server.remembering import Remembered, identity_in, names_in
from remit.server.revisions import Revisions

DEVELOPMENT = Caller("development", frozenset(Role) - {Role.AGENT}, UNPROVEN, Proof.NONE)
"""Whoever reaches a server for development."""
CERTIFICATE = "remit.certificate"
"""The client's certificate (DER) in a scope, where TLS has checked one."""
CALLER = "remit.caller"
"""Who calls, in a scope, once that is known."""
REFUSED = "remit.refused"
"""The code of the refusal, in the scope of a caller who was not taken for anybody."""
VERIFIED = "verified"
"""What came of a token that is believed."""
NO_KEY = "-"
"""No key's thumbprint: that of a holder whose possession of none was shown."""
_LOOKING = frozenset({"GET", "HEAD"})
"""The methods of whoever only looks."""
_STATUS = {Code.INVALID_REQUEST: HTTPStatus.BAD_REQUEST, Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE}


class Callers(Protocol):
    """Tells who is calling."""

    async def identify(self, request: Request) -> Caller:
        """The caller of this request. Raises `Problem` (401) for one who does not prove who they are."""
        ...

    async def carried(self, text: str, key: str) -> VerifiedToken:
        """The task token that came with a request, of a holder whose possession of this key was shown (empty for none).

        Raises `Problem` (401).
        """
        ...


class Believed:
    """Everybody is believed: for development."""

    async def identify(self, _request: Request) -> Caller:
        """The caller of any request."""
        return DEVELOPMENT

    async def carried(self, _text: str, _key: str) -> VerifiedToken:
        """Nobody gave one. Raises `Problem`."""
        raise Problem(HTTPStatus.UNAUTHORIZED, "a server for development gives no task tokens: leave it out")


class Proven:
    """Callers with a token of an issuer that is trusted, and with proof that it is theirs where it is bound to a key: for a request that
    is addressed to `address`."""

    def __init__(
        self,
        trust: Trust,
        embedded: Embedded,
        address: str,
        told: Callable[[str, str], None] = lambda _kind, _result: None,
    ) -> None:
        """`told` is told of each token of a `caller` or a `task` what came of it: `verified`, or the code of its refusal."""
        self._trust, self._embedded, self._address, self._told = trust, embedded, address, told
        self._identities: tuple[int, Mapping[str, Agent]] = -1, {}
        self._since = max([entry.time for entry in embedded.store.log.by_kind("log.restored", 1)], default=0)
        self._holders: Memo[int, tuple[VerifiedToken, Caller]] = Memo(REMEMBERED)
        self._directory: tuple[int, Directory | None] = -1, None
        self._revisions = Revisions(embedded.store)
        self._remembered = Remembered(embedded, self._revisions)

    async def identify(self, request: Request) -> Caller:
        """The caller. Raises `Problem`, or `RemitError` (refused) for one who is proven and nobody here."""
        scope = request.scope
        # A proof names the address as it was sent: in it, an escape is not the character that it stands for (RFC 3986, section 2.2).
        address = self._address + scope["raw_path"].decode("latin-1")
        sent = Sent(scope["headers"], scope["method"], address, scope.get(CERTIFICATE))
        try:
            caller = await self._there(await authenticate(self._trust.verifier, sent), scope["method"] not in _LOOKING)
        except NotVerified as refusal:
            self._refused(scope, _word(refusal.code))
            raise problem_of_refusal(refusal) from None
        except RemitError as error:
            self._refused(scope, error.kind.value)
            raise
        self._told("caller", VERIFIED)
        return caller

    def _refused(self, scope: MutableMapping[str, Any], word: str) -> None:
        scope[REFUSED] = word
        self._told("caller", word)

    async def _there(self, token: VerifiedToken, acts: bool) -> Caller:
        """Whom a token names, as long as they are there; on record by what their issuer calls them, if they do more than look (`acts`)."""
        caller = self._caller(token)
        if caller.agent is None:
            issuer = self._trust.issuers.get(token.issuer)
            # INVARIANT (fail closed): whoever is gone is so before anything is remembered that they say now.
            directory = self._people()
            _check_there(directory, caller, names_in(token, issuer, caller))
            if issuer is not None:
                # INVARIANT (an approval is for one exact action): a directory may say later who `ISSUER#SUBJECT` is.
                known = acts or directory.known_as(identity_in(token)).standing.state is not OwnerState.UNKNOWN
                await self._remembered.take(token, issuer, caller, known)
        return caller

    async def carried(self, text: str, key: str) -> VerifiedToken:
        """The task token that came with a request, of a holder whose possession of this key was shown (empty for none).

        Raises `Problem`.
        """
        try:
            token = await awaited(lambda: self._trust.verifier.verify(text, Shown(key=key or NO_KEY)))
            if token.issuer != self._trust.own.name or not isinstance(token.claims.get("task"), str):
                raise invalid("what came as a task token is none: send one that this server gave for a task")
            self._check_since(token)
            self._check_open(TaskId(token.claims["task"]))
        except NotVerified as refusal:
            self._told("task", _word(refusal.code))
            raise problem_of_refusal(refusal) from None
        self._told("task", VERIFIED)
        return token

    def _caller(self, token: VerifiedToken) -> Caller:
        if token.issuer == self._trust.own.name:
            return self._ours(token)
        # INVARIANT (authority enters from outside the agent): only a trust domain speaks for its workloads, whatever another's subject is.
        name = token.subject if token.issuer.startswith(SPIFFE) else f"{token.issuer}#{token.subject}"
        agent = self._agents().get(name)
        if agent is not None:
            return Caller(agent.id, frozenset({Role.AGENT}), token.issuer, token.proof, agent.id, token.key)
        return self._person(token, self._trust.issuers[token.issuer], name)

    def _ours(self, token: VerifiedToken) -> Caller:
        self._check_since(token)
        # A token that is remembered is one object as long as it is: whom it names was found before.
        known = self._holders.find(id(token))
        if known is None or known[0] is not token:
            known = self._holders.keep(id(token), (token, _holder(token)))
        if known[1].task is not None:
            self._check_open(known[1].task)
        return known[1]

    def _check_since(self, token: VerifiedToken) -> None:
        """Raises `NotVerified` for a token of ours from before the store was restored."""
        # INVARIANT (fail closed): what was taken back since the backup is not known, so nothing that was given before is good.
        if token.issued < self._since:
            raise invalid("the token was made before the store was restored from a backup: get a new one")

    def _check_open(self, task: TaskId) -> None:
        """Raises `NotVerified` once the task, or one that it was delegated from, has ended."""
        # INVARIANT (authority enters from outside the agent): what stands for a task ends with it, whatever the token says.
        view = self._embedded.runtime.view
        with view.lock:
            view.refresh()
            chain, complete = view.chain(task)
        now = self._embedded.runtime.clock()
        _, still = self._embedded.store.standing([state.task.id for state in chain])
        if not chain or not complete or not still or any(now >= state.task.expires for state in chain):
            raise invalid("the task of this token has ended: its authority has, too")

    def _person(self, token: VerifiedToken, issuer: Issuer, identity: str) -> Caller:
        stated = token.subject if issuer.name_claim == "sub" else token.claims.get(issuer.name_claim)
        if issuer.name_claim == "email" and token.claims.get("email_verified", True) not in (True, "true"):
            # INVARIANT (an approval is for one exact action): whoever may write what address they have would answer as somebody else.
            raise refused(f"the address of `{identity}` is not verified, as its issuer says (`email_verified`): it names nobody")
        try:
            name = checked_name(stated if isinstance(stated, str) else "", "caller")
        except RemitError:
            raise refused(
                f"`{identity}` is no agent here (`remit agent bind`), and its claim `{issuer.name_claim}` names nobody: set `name_claim`"
            ) from None
        roles = _roles(token.claims.get(issuer.roles_claim), issuer.roles)
        if not roles:
            raise refused(f"`{identity}` is no agent here (`remit agent bind`), and none of its groups has a role (`roles`)")
        return Caller(name, roles, token.issuer, token.proof, None, token.key)

    def _people(self) -> Directory:
        """Who is who, as the store has it now."""
        # INVARIANT (fail closed): a token outlives whoever has left; asked of the store each time.
        revision = self._revisions.now()
        known, directory = self._directory
        if known != revision or directory is None:
            directory = directory_of(self._embedded.store)
            self._directory = revision, directory
        return directory

    def _agents(self) -> Mapping[str, Agent]:
        """Agents by what proves that they are."""
        # INVARIANT (fail closed): asked of the store each time, since no commit holds what a token is taken for.
        revision = self._revisions.now()
        known = self._identities
        if known[0] != revision:
            agents = self._embedded.store.agents()
            known = self._identities = revision, {name: agent for agent in agents for name in agent.identities}
        return known[1]


def _check_there(directory: Directory, caller: Caller, names: Iterable[str]) -> None:
    """Raises `RemitError` (refused) for somebody outside of the agents who is gone by one of these names, or there by a backup alone."""
    known = [directory.known_as(name) for name in names]
    if any(one.gone for one in known):
        raise refused(f"`{caller.name}` is gone, as the directory says: they have no part in this any more")
    # INVARIANT (fail closed): after a restore whoever has left since is active; their token may say that they administer.
    if any(one.unconfirmed for one in known):
        raise refused(unconfirmed(caller.name))


def _holder(token: VerifiedToken) -> Caller:
    """Whom a token of Remit's own issuer names. Raises `NotVerified`."""
    if token.subject.startswith(AGENT_PREFIX):
        agent = AgentId(token.subject.removeprefix(AGENT_PREFIX))
        task, session = token.claims.get("task"), token.claims.get("session")
        named = TaskId(task) if isinstance(task, str) else None
        within = SessionId(session) if isinstance(session, str) else None
        return Caller(agent, frozenset({Role.AGENT}), token.issuer, token.proof, agent, token.key, named, within)
    if token.subject.startswith(OPERATOR_PREFIX):
        name = token.subject.removeprefix(OPERATOR_PREFIX)
        return Caller(name, _roles(token.claims.get("roles"), _OWN_ROLES), token.issuer, token.proof, None, token.key)
    raise invalid("the token is for nobody that there is: get a new one")


_OWN_ROLES: Mapping[Role, tuple[str, ...]] = {role: (role.value,) for role in Role if role is not Role.AGENT}


def _roles(stated: Any, given_by: Mapping[Role, tuple[str, ...]]) -> frozenset[Role]:
    """The roles that a claim gives: a text, or a list of them."""
    groups = (
        {stated}
        if isinstance(stated, str)
        else {one for one in stated if isinstance(one, str)}
        if isinstance(stated, list)
        else set()
    )
    return frozenset({role for role, listed in given_by.items() if not groups.isdisjoint(listed)})


def _word(code: Code) -> str:
    return code.value or "missing"


def problem_of_refusal(refusal: NotVerified) -> Problem:
    """What a caller who is not believed is told (RFC 6750, RFC 9449)."""
    told = [("WWW-Authenticate", challenge) for challenge in challenges(refusal, ALGORITHMS)]
    status = _STATUS.get(refusal.code, HTTPStatus.UNAUTHORIZED)
    if refusal.nonce:
        told.append(("DPoP-Nonce", refusal.nonce))
    return Problem(status, refusal.message, told if status is not HTTPStatus.SERVICE_UNAVAILABLE else [("Retry-After", "5")])


async def caller_of(request: Request) -> Known:
    """Who calls. Raises `Problem` (401), `RemitError` (refused)."""
    known: Known | None = request.scope.get(CALLER)
    if known is None:  # asked once of each request: a proof of possession counts once
        callers: Callers = request.app.state.callers
        known = request.scope[CALLER] = Known(await callers.identify(request), request.app.state.administration)
    return known
