"""`remit agent`: register, list, show, suspend, resume and retire agents."""

from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, show_table, store, store_to_change, when
from remit.cli.tokens import DEFAULT_SECONDS, Key, Output, Seconds, Url, bound_to, issuing, place_for, show_token
from remit.inventory.agents import registered, with_identity, with_status, without_identity
from remit.inventory.directory import OwnedAgent
from remit.local.config import this_operator
from remit.model.errors import not_found
from remit.model.identity import Agent, AgentId, AgentStatus
from remit.model.person import OwnerState
from remit.runtime.administration import change_agent

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The agent's name.")]


@app.command("register")
def register(
    name: Name,
    owner: Annotated[str, typer.Option(help="Who answers for the agent.")],
    purpose: Annotated[str, typer.Option(help="What it is for, in words a reviewer can judge.")],
    group: Annotated[list[str] | None, typer.Option(help="A group that policies can name; may be repeated.")] = None,
    json: JsonFlag = False,
) -> None:
    """Register an agent with its owner and purpose."""
    with store_to_change() as embedded:
        agent = change_agent(
            embedded.runtime, name, lambda known: registered(known, name, owner, purpose, tuple(group or ())), this_operator()
        ).result()
    _show(agent, json, f"registered agent {agent.id}, owned by {agent.owner}")


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List all agents."""
    with store() as embedded:
        directory = embedded.runtime.view.directory
        agents = [directory.owned(agent) for agent in embedded.store.agents()]
    if json:
        show_json(agents)
        return
    rows = [(a.id, a.status.value, a.owner, _owner_state(a), ", ".join(a.groups), a.purpose) for a in agents]
    show_table(("agent", "status", "owner", "who is", "groups", "purpose"), rows, "no agents: run `remit agent register`")


@app.command("show")
def show(name: Name, json: JsonFlag = False) -> None:
    """Show one agent."""
    with store() as embedded:
        found = embedded.store.agent(AgentId(name))
        if found is None:
            raise not_found(f"agent `{name}` is not registered: see `remit agent list`")
        agent = embedded.runtime.view.directory.owned(found)
    known = f"; known as {', '.join(agent.identities)}" if agent.identities else ""
    _show(
        agent, json, f"{agent.id}: {agent.status.value}, owned by {agent.owner} ({_owner_state(agent)}); {agent.purpose}{known}"
    )


def _owner_state(agent: OwnedAgent) -> str:
    """What is known of who owns it, for people."""
    return f"gone since {when(agent.owner_since)}" if agent.owner_state is OwnerState.GONE else agent.owner_state.value


@app.command("bind")
def bind(
    name: Name,
    identity: Annotated[str, typer.Argument(help="`ISSUER#SUBJECT` as its tokens have them, or a SPIFFE ID.")],
    json: JsonFlag = False,
) -> None:
    """Let tokens of this identity speak for the agent."""
    with store_to_change() as embedded:
        bound = change_agent(embedded.runtime, name, lambda known: with_identity(known, name, identity), this_operator()).result()
    _show(bound, json, f"agent {bound.id} is known as {', '.join(bound.identities)}")


@app.command("unbind")
def unbind(
    name: Name, identity: Annotated[str, typer.Argument(help="As `remit agent show` has it.")], json: JsonFlag = False
) -> None:
    """Take an identity from an agent: its tokens are nobody's from now on."""
    with store_to_change() as embedded:
        left = change_agent(
            embedded.runtime, name, lambda known: without_identity(known, name, identity), this_operator()
        ).result()
    _show(left, json, f"agent {left.id} is known as {', '.join(left.identities) or 'nobody'} over a network")


@app.command("key")
def key(
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist.")],
    public: Annotated[bool, typer.Option("--public", help="Make none: print the public half (JWK) of the one in FILE.")] = False,
    json: JsonFlag = False,
) -> None:
    """Make the key that an agent proves its tokens with (DPoP). It stays with the agent."""
    from remit.credentials.holder_keys import make_key, public_key

    if public:
        show_json(public_key(file))
        return
    thumbprint = make_key(file)
    show_json({"file": str(file), "thumbprint": thumbprint}) if json else say(f"made the key {thumbprint} in {file}")


@app.command("token")
def token(
    name: Name,
    seconds: Seconds = DEFAULT_SECONDS,
    key: Key = None,
    output: Output = None,
    url: Url = "",
    json: JsonFlag = False,
) -> None:
    """Make a token that says who an agent is, for one that has no other issuer."""
    from remit.local.issuing import agent_token

    with place_for(output) as file, issuing(url) as (embedded, own):
        made = agent_token(embedded, own, AgentId(name), seconds, bound_to(key), this_operator())
        show_token(made, json, key is None, file=file)


@app.command("suspend")
def suspend(name: Name, json: JsonFlag = False) -> None:
    """Stop an agent for now: everything it asks for is denied from the next decision on."""
    _move(name, AgentStatus.SUSPENDED, json)


@app.command("resume")
def resume(name: Name, json: JsonFlag = False) -> None:
    """Let a suspended agent act again."""
    _move(name, AgentStatus.ACTIVE, json)


@app.command("retire")
def retire(name: Name, json: JsonFlag = False) -> None:
    """End an agent for good; its history stays."""
    _move(name, AgentStatus.RETIRED, json)


def _move(name: str, status: AgentStatus, json: bool) -> None:
    with store_to_change() as embedded:
        agent = change_agent(embedded.runtime, name, lambda known: with_status(known, name, status), this_operator()).result()
    _show(agent, json, f"agent {agent.id} is {agent.status.value}")


def _show(agent: Agent, json: bool, text: str) -> None:
    if json:
        show_json(agent)
    else:
        say(text)
