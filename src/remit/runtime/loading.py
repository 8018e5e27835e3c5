"""Everything that one request can touch, read for its decision."""

from collections.abc import Iterable

from msgspec.structs import replace

from remit.inventory.directory import worst
from remit.model.identity import AGENT, Agent, AgentId, DecisionId
from remit.model.memory import Memory
from remit.model.person import OwnerState
from remit.model.request import SESSION_DECLASSIFY, EvaluationRequest
from remit.model.task import NOTHING_SPENT, Session
from remit.pdp.definitions import asks_for_known
from remit.pdp.inputs import Inputs
from remit.pdp.memory import memory_of
from remit.pdp.outside import Outside
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Observed
from remit.runtime.beside import caught_up_with, is_behind, under_way
from remit.runtime.committing import Loaded
from remit.runtime.runtime import Runtime
from remit.runtime.view import View


def load(
    runtime: Runtime,
    request: EvaluationRequest,
    decision: DecisionId,
    now: int,
    outside: Outside | None = None,
    instead: tuple[Session, Observed] | None = None,
) -> Loaded:
    """Everything this request can touch: bundle, agent, task chain, session, and what it saw (or `instead` of these, others).

    Raises `Behind`.
    """
    view = runtime.view
    revision = view.refresh()
    chain, complete = view.chain(request.task)
    session = view.session(request.session) if instead is None else instead[0]
    # Whoever is refused as a stranger moves nobody's session.
    own = session is not None and bool(chain) and session.task == request.task and request.subject.id == session.agent
    if session is not None and own and instead is None and view.caught_up.get(session.id) != chain[-1].spent.raised:
        caught_up_with(view, chain, session)
    observed = NOTHING_OBSERVED
    if session is not None:
        observed = view.observed(session.id, session.task) if instead is None else instead[1]
    agent = view.agent(AgentId(request.subject.id)) if request.subject.type == AGENT else None
    target = view.agent(AgentId(request.resource.id)) if request.resource.type == AGENT else None
    delegators = view.delegators(chain) if len(chain) > 1 else ()
    inputs = Inputs(
        view.bundle,
        request,
        agent,
        now,
        decision,
        chain,
        complete,
        session,
        None,
        observed,
        view.latest,
        view.kills,
        delegators,
        target,
        outside,
        _memory(view, request),
        view.account(agent.id) if agent is not None and view.bundle is not None and view.bundle.agent_rates else NOTHING_SPENT,
        view.definition(request.upstream, request.resource.id) if asks_for_known(view.bundle, request) else None,
        owner=owner_state(view, (agent, *delegators)),
    )
    if own and session is not None:
        if request.action == SESSION_DECLASSIFY:
            inputs = replace(inputs, beside=caught_up_with(view, chain, session), under_way=under_way(view, session))
        if is_behind(chain, session):
            inputs = replace(inputs, behind=True)
    if now > view.latest:
        view.latest = now
    return Loaded(inputs, revision, view.sealing_key(request.task if chain else None), view.open_glass(now))


def owner_state(view: View, agents: Iterable[Agent | None]) -> OwnerState:
    """What the directory knows of the owners of these agents, together."""
    return worst(view.directory.known_as(agent.owner).standing.state for agent in agents if agent is not None)


def _memory(view: View, request: EvaluationRequest) -> Memory | None:
    name = memory_of(view.bundle, request.action, request.resource) if view.bundle is not None else ""
    return view.memory(name) if name else None
