"""The decision API of AuthZEN 1.0: evaluation, evaluations, and search with paging."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.model.decision import Decision, Permit
from remit.model.errors import RemitError, malformed, unavailable
from remit.model.identity import AGENT, EntityRef
from remit.model.request import EvaluationRequest
from remit.runtime.authorize import hand_out
from remit.runtime.searching import SearchKind, search
from remit.server.api.messages import Asked, answer_of, asked_by, asked_in, failure, request_of
from remit.server.api.requestable import added
from remit.server.asking import Asker, asking
from remit.server.direct import DECISION
from remit.server.paging import query_digest, resumed, token_of
from remit.server.problems import STATUS
from remit.server.reading import MAX_BODY, read_body, read_object
from remit.server.repeating.answers import HEADER, Answer, Once, answered, key_of, sent
from remit.server.responding import answer, embedded_of
from remit.server.searches import Searches
from remit.server.unreported import Unreported

_OTHER = HTTPStatus.BAD_REQUEST
"""What another type of content than JSON is answered with (certification scenario of AuthZEN 1.0, c-2-4-3)."""
MAX_EVALUATIONS = 1000
MAX_PAGE = 1000
"""So many results are returned at once; the rest by token."""
_DEFAULTS = ("subject", "action", "resource", "context")
_SEMANTICS = {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}
"""Each with the decision that ends an evaluation of several."""
_FOREIGN = "`page.token` is no `next_token` of ours: begin without one"
_ANOTHER = "`page.token` is of another search: all but the token must stay as it was"


async def evaluation(request: Request) -> Response:
    """`POST /access/v1/evaluation`: one decision, on the disk before it is answered."""
    asker, asked = await asking(request), asked_in(await read_body(request, other=_OTHER))
    # INVARIANT (authority enters from outside the agent): whoever comes with a key that was used comes with their own authority first.
    wanted = asker.of(asked.request)
    given = request.headers.get(HEADER, "")
    if not given:
        return await _evaluated(request, wanted, asked)
    repeats: Once = request.app.state.repeats
    key = key_of(asker.id, asker.whole, given)
    told = await repeats.once(key, sent(asked.message), lambda: _repeatable(request, wanted, asked))
    request.scope[DECISION] = told.decision  # it may have been made for another request
    return told.response()


async def evaluations(request: Request) -> Response:
    """`POST /access/v1/evaluations`: several decisions, in the order asked for. Without any, it is one evaluation."""
    asker, message = await asking(request), await read_object(request, other=_OTHER)
    several = message.get("evaluations")
    if several is None or several == []:
        asked = asked_by(message)
        return await _evaluated(request, asker.of(asked.request), asked)
    if not isinstance(several, list) or not all(isinstance(one, dict) for one in several):
        raise malformed("`evaluations` must be a list of objects")
    if len(several) > MAX_EVALUATIONS:
        raise malformed(f"`evaluations` has {len(several)} objects, more than {MAX_EVALUATIONS}: send them in parts")
    ends = _ending(message)
    # A key of an object replaces the default whole; nothing is merged.
    defaults = {key: message[key] for key in _DEFAULTS if key in message}
    if len(msgspec.json.encode(defaults)) * len(several) > MAX_BODY:
        # Each is decided and sealed whole: a short message must not become a long log.
        raise malformed(f"the defaults, {len(several)} times, are longer than {MAX_BODY} bytes: send the evaluations in parts")
    messages = [{**defaults, **one} for one in several]
    request.scope[DECISION] = len(messages)
    if ends is None:
        return answer({"evaluations": await asyncio.gather(*(_tried(request, asker, one) for one in messages))})
    return answer({"evaluations": await _until(request, asker, messages, ends)})


def _ending(message: dict[str, Any]) -> bool | None:
    options = message.get("options")
    if options is not None and not isinstance(options, dict):
        raise malformed("`options` must be an object")
    semantic = (options or {}).get("evaluations_semantic", "execute_all")
    if not isinstance(semantic, str) or semantic not in _SEMANTICS:
        raise malformed(f"`options.evaluations_semantic` must be one of {', '.join(f'`{one}`' for one in _SEMANTICS)}")
    return _SEMANTICS[semantic]


async def _until(request: Request, asker: Asker, messages: Sequence[dict[str, Any]], ends: bool) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for one in messages:
        answers.append(await _tried(request, asker, one))
        if answers[-1]["decision"] is ends:
            break
    return answers


async def _evaluated(request: Request, wanted: EvaluationRequest, asked: Asked) -> Response:
    told = await _decided(request, wanted, asked)
    request.scope[DECISION] = told["context"]["id"]
    return answer(told)


async def _repeatable(request: Request, wanted: EvaluationRequest, asked: Asked) -> Answer:
    """An answer that may be asked for again: a permit of somebody who will not ask whether it stands, as long as it does."""
    embedded = embedded_of(request)
    before = embedded.store.standing(())[0]
    decision = await _decision(request, wanted, asked)
    response = answer(await _told(request, asked, decision))
    if asked.door or not isinstance(decision, Permit):
        return answered(response, decision.id)
    view = embedded.runtime.view
    with view.lock:
        view.refresh()
        chain, _ = view.chain(wanted.task)
    tasks, until = [state.task.id for state in chain], min([decision.until, *(state.task.expires for state in chain)])

    def holds() -> bool:
        # INVARIANT (fail closed): what nobody asks about again is told again only while nothing has changed since it was decided.
        return embedded.runtime.clock() < until and embedded.store.standing(tasks) == (before, True)

    return answered(response, decision.id, holds)


async def _decided(request: Request, wanted: EvaluationRequest, asked: Asked) -> dict[str, Any]:
    return await _told(request, asked, await _decision(request, wanted, asked))


async def _decision(request: Request, wanted: EvaluationRequest, asked: Asked) -> Decision:
    embedded = embedded_of(request)
    unreported: Unreported = request.app.state.unreported
    if asked.door and embedded.ending:  # nobody would be there to be asked whether it stands
        raise unavailable("this server is being stopped: ask again, of another or of the one that follows")
    decision = await embedded.evaluate(wanted)
    if isinstance(decision, Permit) and asked.door:
        unreported.promised(decision)
    elif isinstance(decision, Permit) and wanted.subject.type == AGENT:
        hand_out(embedded.runtime, decision.id)
        unreported.handed_out(decision)
    return decision


async def _told(request: Request, asked: Asked, decision: Decision) -> dict[str, Any]:
    embedded = embedded_of(request)
    told = answer_of(decision, asked.door)
    if decision.approval is not None or asked.approval is not None:
        told["context"] |= await asyncio.to_thread(added, embedded, request.app.state.url, asked.approval, decision)
    return told


async def _tried(request: Request, asker: Asker, message: dict[str, Any]) -> dict[str, Any]:
    try:
        asked = asked_by(message)
        return await _decided(request, asker.of(asked.request), asked)
    except RemitError as error:
        return failure(error.told, STATUS[error.kind])


async def search_subject(request: Request) -> Response:
    """`POST /access/v1/search/subject`: the subjects of a type that may."""
    return await _search(request, SearchKind.SUBJECT)


async def search_resource(request: Request) -> Response:
    """`POST /access/v1/search/resource`: the resources of a type that the subject may."""
    return await _search(request, SearchKind.RESOURCE)


async def search_action(request: Request) -> Response:
    """`POST /access/v1/search/action`: the actions that the subject may take on the resource."""
    return await _search(request, SearchKind.ACTION)


async def _search(request: Request, kind: SearchKind) -> Response:
    asker, embedded = await asking(request), embedded_of(request)
    message = await read_object(request, other=_OTHER)
    wanted = asker.of(request_of(message, kind), searching=True)
    given, token = _page(message)
    query = query_digest(kind, _asked(message))
    after, before = resumed(token, query, _FOREIGN, _ANOTHER)
    # Whoever goes on need not say again how many: the standard's own example does not.
    limit = min(next(one for one in (given, before, MAX_PAGE) if one is not None), MAX_PAGE)
    if before not in (None, limit):
        raise malformed(_ANOTHER)
    searches: Searches = request.app.state.searches
    found = await searches.done(asker.caller, lambda: list(islice(search(embedded.runtime, kind, wanted, after), limit + 1)))
    shown = found[:limit]
    more = len(found) > limit
    last = shown[-1] if shown else after
    following = token_of(last.id if isinstance(last, EntityRef) else last, query, limit) if more else ""
    page = {"next_token": following, "count": len(shown)}
    return answer({"page": page, "results": [_result(one) for one in shown]})


def _asked(message: dict[str, Any]) -> dict[str, Any]:
    return {key: message[key] for key in _DEFAULTS if key in message}


def _page(message: dict[str, Any]) -> tuple[int | None, str]:
    page = message.get("page")
    if page is None:
        return None, ""
    if not isinstance(page, dict):
        raise malformed("`page` must be an object")
    limit, token = page.get("limit"), page.get("token", "")
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)  # JSON has one kind of number, and some programs write each as `2.0`
    if "limit" in page and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise malformed("`page.limit` must be a number that is not negative")
    if not isinstance(token, str):
        raise malformed("`page.token` must be the `next_token` of the page before")
    return limit, token


def _result(found: EntityRef | str) -> dict[str, str]:
    return {"type": found.type, "id": found.id} if isinstance(found, EntityRef) else {"name": found}
