"""The first administrator of a server: whoever has the link that its first start prints, once."""

import hashlib
import hmac
import os
from pathlib import Path

import msgspec

from remit.decision_log.entry import TokenIssued
from remit.local.config import Settings
from remit.local.wiring import Embedded
from remit.model.caller import Role
from remit.model.clock import MINUTE, Clock
from remit.model.errors import unavailable
from remit.model.identity import random_bytes

FILE = "enrolment"
LIFE = 60 * MINUTE
PATH = "/v1/enrolment"


class _Open(msgspec.Struct, frozen=True):
    """What the file holds: the digest of the code, and until when it is good (µs)."""

    digest: str
    expires: int


def needs_administrator(embedded: Embedded, settings: Settings) -> bool:
    """Whether nobody can administer over HTTP: no issuer gives the role, and no token was made that has it and is good."""
    if any(Role.ADMINISTRATOR in (issuer.get("roles") or {}) for issuer in settings.issuers):
        return False
    log = embedded.store.log
    restored = max([entry.index for entry in log.by_kind("log.restored", 1)], default=-1)
    issued = [entry.body for entry in log.by_kind("token.issued", 10_000) if entry.index > restored]
    return not any(isinstance(body, TokenIssued) and Role.ADMINISTRATOR in body.roles for body in issued)


def begin(home: Path, clock: Clock) -> str:
    """A code that enrols one administrator within an hour; one that was given before is good no more. Raises `RemitError` (unavailable)."""
    code = random_bytes(32).hex()
    draft = home / f".{FILE}.{random_bytes(8).hex()}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(_Open(_digest(code), clock() + LIFE)))
        draft.replace(home / FILE)
    except OSError as error:
        raise unavailable(f"no link for the first administrator can be kept in `{home}` ({error.strerror})") from None
    return code


def redeem(home: Path, code: str, clock: Clock) -> bool:
    """Whether this is the code, not used yet and in time; from now on it is used. Of several that come with it at once one is told so."""
    file = home / FILE
    try:
        known = msgspec.json.decode(file.read_bytes(), type=_Open)
        if not hmac.compare_digest(_digest(code), known.digest) or clock() >= known.expires:
            return False
        file.unlink()  # INVARIANT (fail closed): used once; only one of those that come at once can remove it
        return True
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return False


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
