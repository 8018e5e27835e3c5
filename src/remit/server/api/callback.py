"""Answers to access requests from where people were told of them: signed, fresh, once, by people who are known."""

import asyncio
import hashlib
import logging
from http import HTTPStatus
from typing import Annotated, Any, NoReturn, Protocol
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.authentication.possession.shared import DIGEST, SharedTable
from remit.authentication.refusal import NotVerified
from remit.local.webhooks.messages import APPROVE, DENY, answerable
from remit.local.webhooks.settings import Webhook
from remit.model.caller import Caller, Proof, Role
from remit.model.clock import SECOND
from remit.model.errors import RemitError, malformed, not_found, refused, unavailable
from remit.model.identity import ApprovalId
from remit.model.values import read_json
from remit.runtime.acting import present
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.denying import MAX_WHY
from remit.runtime.approving.inbox import card
from remit.server.known import Known
from remit.server.permitting import may_answer
from remit.server.problems import Problem
from remit.server.reading import read_bytes
from remit.server.responding import answer, embedded_of, figures_of

FRESH = 5 * 60
"""So old (seconds) may a callback be, or so far ahead its sender's clock."""
_KEPT = 2 * FRESH + 1
_HEADERS = (("x-remit-signature", "x-remit-request-timestamp"), ("x-slack-signature", "x-slack-request-timestamp"))
_log = logging.getLogger("remit")


class CallbackAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as it is sent in plain JSON; `user` is whoever gives it, by the id that the webhook knows them under."""

    request: str
    approve: bool
    user: str
    why: Annotated[str, msgspec.Meta(max_length=MAX_WHY)] = ""


class Callbacks(Protocol):
    """The signatures that were taken in the last minutes. Another machine, or a server that was started anew, does not know them; there, a
    request that was answered is answered, and nobody approves one twice."""

    def take(self, signature: str, now: int) -> bool:
        """Whether it is the first time (`now` in seconds). Raises `RemitError` (unavailable) where that cannot be kept."""
        ...


class CallbacksInMemory:
    """Those of this process."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, signature: str, now: int) -> bool:
        """Whether it is the first time; see `Callbacks`."""
        self._taken = {known: until for known, until in self._taken.items() if until > now}
        if signature in self._taken:
            return False
        self._taken[signature] = now + _KEPT
        return True


class SharedCallbacks:
    """Those of all processes that share a table."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    def take(self, signature: str, now: int) -> bool:
        """Whether it is the first time; see `Callbacks`."""
        digest = hashlib.sha256(f"callback {signature}".encode()).digest()[:DIGEST]
        try:
            return self._table.claim(digest, 0, (now + _KEPT) * SECOND, now * SECOND) is None
        except NotVerified as full:
            raise unavailable(full.message) from None


async def called(request: Request) -> Response:
    """`POST /v1/approvals/callback`: an answer from a webhook's receiver. Raises `Problem` (401), `RemitError`."""
    body, kind = await read_bytes(request)
    webhook = _proven(request, body)
    try:
        return await _answered(request, webhook, _said(body, kind))
    except RemitError as error:
        _log.warning("a callback of webhook `%s` was refused (%s)", webhook.name, error.kind.value)
        raise


def _proven(request: Request, body: bytes) -> Webhook:
    """Whose callback it is. Raises `Problem`."""
    # INVARIANT (authority enters from outside the agent): nothing of a callback is read before it is known whose it is.
    sent = [(request.headers.getlist(one), request.headers.getlist(two)) for one, two in _HEADERS]
    given = [(one[0], two[0]) for one, two in sent if len(one) == len(two) == 1]
    if len(given) != 1:
        _refuse("it is not signed")
    signature, timestamp = given[0]
    webhooks: tuple[Webhook, ...] = request.app.state.webhooks
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        _refuse("it has no time")
    webhook = next((one for one in webhooks if one.people and one.secret.signed(signature, timestamp, body)), None)
    if webhook is None:
        _refuse("its signature is by none of the webhooks")
    now = embedded_of(request).runtime.clock() // SECOND
    if abs(now - int(timestamp)) > FRESH:
        _refuse("it is not of these minutes")
    once: Callbacks = request.app.state.callbacks
    if not once.take(signature, now):
        _log.warning("a callback was refused: it was sent before")
        raise Problem(HTTPStatus.CONFLICT, "this callback was taken before: it counts once")
    return webhook


def _refuse(why: str) -> NoReturn:
    _log.warning("a callback was refused: %s", why)
    raise Problem(HTTPStatus.UNAUTHORIZED, "this callback is not one of a webhook that may answer, or is not fresh")


def _said(body: bytes, kind: str) -> CallbackAnswer:
    """The answer: plain, or as Slack sends what somebody pressed."""
    if kind == "application/x-www-form-urlencoded":
        try:
            form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8, errors="strict")
            [payload] = form["payload"]
        except (ValueError, KeyError):
            raise malformed("the form must have one `payload`") from None
        return _pressed(read_json(payload))
    if kind != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, or a form with a `payload`")
    try:
        return msgspec.convert(read_json(body), CallbackAnswer)
    except msgspec.ValidationError as error:
        raise malformed(f"the body is no answer: {error}") from None


def _pressed(payload: Any) -> CallbackAnswer:
    try:
        [action] = payload["actions"]
        told = {
            "request": action["value"],
            "user": payload["user"]["id"],
            "approve": {APPROVE: True, DENY: False}[action["action_id"]],
        }
        if payload["type"] != "block_actions":
            raise malformed("the payload is not of a button that was pressed")
        return msgspec.convert(told, CallbackAnswer)
    except (KeyError, TypeError, ValueError, msgspec.ValidationError):
        raise malformed("the payload is not of a button that was pressed") from None


async def _answered(request: Request, webhook: Webhook, said: CallbackAnswer) -> Response:
    embedded = embedded_of(request)
    person = webhook.people.get(said.user)
    if person is None:
        raise refused(f"webhook `{webhook.name}` does not know who answers: an administrator adds them to its `people`")
    caller = Caller(person, frozenset({Role.APPROVER}), f"webhook:{webhook.name}", Proof.VOUCHED)
    if not may_answer(Known(caller, request.app.state.administration)):
        raise refused(f"`{person}` may not answer access requests")
    await asyncio.to_thread(present, embedded.runtime, caller.operator)  # who is gone denies nothing here, either
    name = ApprovalId(said.request)
    found = await asyncio.to_thread(embedded.store.approval, name)
    if found is None:
        raise not_found("there is no such access request")
    if said.approve and not answerable(webhook, await asyncio.to_thread(card, embedded.runtime, found)):
        raise refused(f"webhook `{webhook.name}` does not show the whole of it: look at it with `remit approval show {found.id}`")
    done = await resolve(embedded.runtime, name, caller.operator, said.approve, said.why)
    figures_of(request).resolved(done, embedded.runtime.clock())
    return answer({"id": done.id, "state": done.state})
