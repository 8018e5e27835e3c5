"""Remit's own issuer: tokens for agents and operators who have no other, and task tokens that carry a task across doors."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws

from remit.credentials import key_files
from remit.credentials.holder_keys import thumbprint_of
from remit.model.caller import Role
from remit.model.clock import SECOND, Clock
from remit.model.errors import malformed, refused
from remit.model.identity import AgentId, SessionId, TaskId, random_bytes

ACCESS_TYPE = "at+jwt"
TASK_TYPE = "remit-task+jwt"
AGENT_PREFIX, OPERATOR_PREFIX = "agent:", "operator:"
LONGEST_SECONDS = 86_400
"""No token is made that lasts longer: so long a retired key has to be kept."""
FOLDER = "issuer"
"""Where the keys are, below REMIT_HOME."""


class Kind(msgspec.Struct, frozen=True):
    """What a token is for: its `typ` and the claims beside the common ones."""

    type: str
    claims: dict[str, Any]


class TokenIssuer:
    """Mints tokens as `name`, a URL, with the keys in a folder; safe to share between threads.

    A key is made where there is none yet, unless not `make`. Raises `RemitError` for a key file that is open to others, or holds no key,
    and not-found for none.
    """

    def __init__(self, name: str, folder: Path, clock: Clock, *, make: bool = True) -> None:
        self.name, self._folder, self._clock = name, folder, clock
        self._lock = threading.Lock()
        self._key = key_files.load_or_make(folder) if make else key_files.load(folder)

    def agent_token(self, agent: AgentId, audience: str, seconds: int, key: dict[str, Any] | None = None) -> str:
        """A token that says who an agent is; bound to the public `key` (JWK) where one is given (RFC 9449). Raises `RemitError`."""
        return self._minted(Kind(ACCESS_TYPE, {**_named(AGENT_PREFIX + _name(agent)), **_bound(key)}), audience, seconds)

    def operator_token(
        self, name: str, roles: Iterable[Role], audience: str, seconds: int, key: dict[str, Any] | None = None
    ) -> str:
        """A token that says who somebody outside of the agents is, and which roles they have. Raises `RemitError`."""
        claims = {**_named(OPERATOR_PREFIX + _name(name)), "roles": sorted(roles), **_bound(key)}
        return self._minted(Kind(ACCESS_TYPE, claims), audience, seconds)

    def task_token(
        self,
        task: TaskId,
        agent: AgentId,
        audience: str,
        expires: int,
        *,
        seconds: int = 900,
        session: SessionId | None = None,
        thumbprint: str = "",
    ) -> str:
        """A token that stands for a task, for its agent: at most as long as the task, which ends at `expires` (µs).

        `thumbprint` is that of the key it is bound to: `VerifiedToken.key` of the agent that asks for it. Raises `RemitError`, refused
        for a task that has ended.
        """
        claims: dict[str, Any] = {"sub": AGENT_PREFIX + _name(agent), "task": task}
        if session is not None:
            claims["session"] = session
        if thumbprint:
            claims["cnf"] = {"jkt": thumbprint}
        return self._minted(Kind(TASK_TYPE, claims), audience, seconds, expires)

    def key_set(self) -> bytes:
        """The public keys as they are on disk now (RFC 7517): the one that signs, and those whose tokens can still be valid."""
        now = self._clock()
        # INVARIANT (fail closed): not the one that this process began with: another may have taken it away since.
        signing = key_files.load(self._folder)
        # Those behind it: a key that is replaced meanwhile is among the retired before it is so.
        keys = {key.jwk["kid"]: key.jwk for key in key_files.retired(self._folder) if key.until > now}
        keys[signing.id] = signing.public()
        return msgspec.json.encode({"keys": list(keys.values())})

    def rotate(self, *, refuse: bool = False, record: Callable[[str], None] = lambda _old: None) -> str:
        """Sign with a new key from now on, and tell its id. Tokens of the old one stand until they expire; its private half is gone.

        With `refuse` no token that was made before stands: for a key that somebody else knows. `record` is told the id of the old one
        before it is replaced, and may raise to keep it. Those that rotate at once do so one after the other.
        """
        with key_files.rotating(self._folder):
            record(key_files.load(self._folder).id)
            with self._lock:
                now = self._clock()
                for key in key_files.retired(self._folder):
                    if refuse or key.until <= now:
                        key_files.forget(self._folder, key.jwk["kid"])
                self._key = key_files.rotate(self._folder, None if refuse else now + LONGEST_SECONDS * SECOND)
                return self._key.id

    @property
    def key(self) -> str:
        """The id of the key that signs."""
        return self._signing().id

    def reload(self) -> None:
        """Sign with the key that is on disk: another process may have replaced it."""
        with self._lock:
            self._key = key_files.load(self._folder)

    def secret(self) -> bytes:
        """A secret that signs nothing, and that all share who have the folder, whichever key signs. Raises `RemitError`."""
        return key_files.secret_of(self._folder)

    def _signing(self) -> key_files.SigningKey:
        with self._lock:
            return self._key

    def _minted(self, kind: Kind, audience: str, seconds: int, no_later: int | None = None) -> str:
        if not 0 < seconds <= LONGEST_SECONDS:
            raise malformed(f"a token lasts between 1 and {LONGEST_SECONDS} s, not {seconds}")
        if not audience:
            raise malformed("a token must be for somebody: name its audience")
        now = self._clock() // SECOND
        expires = now + seconds
        if no_later is not None:
            # INVARIANT (delegation only narrows): a task token ends with its task, or before.
            expires = min(expires, no_later // SECOND)
            if expires <= now:
                raise refused("the task has ended: open another")
        claims = {"iss": self.name, "aud": audience, "iat": now, "exp": expires, "jti": random_bytes(16).hex(), **kind.claims}
        key = self._signing()
        header = {"alg": key_files.ALGORITHM, "typ": kind.type, "kid": key.id}
        return jws.serialize_compact(header, msgspec.json.encode(claims), key.key, algorithms=[key_files.ALGORITHM])


def _name(text: str) -> str:
    if not text or not text.isprintable() or len(text) > 256:
        raise malformed(f"`{text[:100]}` cannot stand in a token: use printable text of at most 256 characters")
    return text


def _named(subject: str) -> dict[str, Any]:
    """Whose an access token is: nobody stands between its holder and the client (RFC 9068, section 2.2, wants both)."""
    return {"sub": subject, "client_id": subject}


def _bound(key: dict[str, Any] | None) -> dict[str, Any]:
    """The claim that binds a token to a public key, by its thumbprint (RFC 7638)."""
    return {} if key is None else {"cnf": {"jkt": thumbprint_of(key)}}
