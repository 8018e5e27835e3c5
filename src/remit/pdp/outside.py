"""Engines outside of this process: deciding names what must be asked, the edge asks it, and the answers are inputs like any other."""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Opa(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OPA server that is asked: `url` as `https://host:port` (plain `http://` on this machine only), `package` the Rego package.

    `revision` is the one its bundle must have, if any; `seconds` how long an answer may take. A bundle with Rego policies of its own
    wants the server to have exactly those (`remit policy opa`).
    """

    url: str
    package: str = "remit"
    revision: str = ""
    seconds: float = 1.0


class EngineFailure(StrEnum):
    """Why an engine outside gave no answer that counts."""

    UNAVAILABLE = "unavailable"
    """It is down, slow, or does not answer as it should."""
    REVISION = "revision"
    """It has other policies than the bundle wants."""


class Unanswered(msgspec.Struct, frozen=True):
    """No answer, and why, in words."""

    failure: EngineFailure
    message: str


class Said(msgspec.Struct, frozen=True):
    """What an engine outside said to one document: a canonical answer or none, and which engine and revision that was."""

    answer: bytes | Unanswered
    engine: str = ""


class Outside(msgspec.Struct, frozen=True):
    """What engines outside said in one decision: `answers` by `digest` of the document that was asked.

    `moment` is the time (µs) at which the first was asked, which policies are told; `engine` says which engine and revision answered.
    """

    moment: int
    answers: Mapping[str, bytes | Unanswered] = {}
    engine: str = ""


class NotAsked(Exception):
    """A decision needs an answer that nobody asked for yet: ask `opa` about `document`, and decide again."""

    def __init__(self, opa: Opa, document: bytes, moment: int) -> None:
        super().__init__("an engine outside of this process has not been asked")
        self.opa, self.document, self.moment = opa, document, moment

    def answered(self, before: Outside | None, said: Said) -> Outside:
        """What is known once it was asked. An engine that changed in between has answered nothing yet."""
        known = before if before is not None and before.engine == said.engine else None
        moment = before.moment if before is not None else self.moment
        answers = {**(known.answers if known is not None else {}), digest(self.document): said.answer}
        return Outside(moment, answers, said.engine)


Ask: TypeAlias = Callable[[Opa, bytes], Said]
"""Asks an engine outside. Never raises for what the engine does: that is no answer."""

MAX_QUESTIONS = 8
"""So often is an engine asked for one decision: as it is, with an approval, and anew where what it was asked about has moved."""


def digest(document: bytes) -> str:
    """What an answer is kept under."""
    return hashlib.sha256(document).hexdigest()


def nobody(opa: Opa, _document: bytes) -> Said:
    """Asks no engine outside."""
    return Said(Unanswered(EngineFailure.UNAVAILABLE, f"the policy engine `{opa.url}` was not asked"))
