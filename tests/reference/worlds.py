"""Random cases: bundles from a pool of statements, and agents, task chains, sessions, requests, clocks and grants that meet them."""

import functools
import re
from random import Random
from typing import Any

import msgspec
import yaml
from hypothesis import strategies as st

from remit.model.decision import ApproverRule, Obligation, Steering
from remit.model.history import History
from remit.model.identity import Agent, AgentId, AgentStatus, ApprovalId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.labels import Confidentiality, Label
from remit.model.request import EvaluationRequest, Tier
from remit.model.task import Amount, Budgets, Scope, Session, Spent, Task, TaskState, TaskStatus
from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.model.values import freeze
from remit.pap.bundle import compile_bundle
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.folder import bundle_of
from remit.pdp.compiled import CompiledBundle
from remit.pdp.inputs import Grant, Inputs
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Report, observe
from tests.reference.case import Case, Catalogue, Rule

NOON = 1_800_000_000_000_000
MINUTE = 60_000_000
CALL = 'principal, action == Action::"tool.call", resource'
ANY = "principal, action, resource"

POOL = (
    Rule("all", "permit", ANY),
    Rule("calls", "permit", CALL),
    Rule("reads", "permit", 'principal, action in Action::"file", resource'),
    Rule("mine", "permit", "principal is Agent, action, resource", 'when { principal.owner == User::"ben" }'),
    Rule("trusted-agents", "permit", 'principal in Group::"all", action, resource'),
    Rule("noticed", "permit", CALL, "", {"obligation": "notify:ops; deadline:5"}),
    Rule("limited", "permit", f'{CALL} == Tool::"send"', "", {"obligation": "limit-result:10"}),
    Rule("sung", "permit", f'{CALL} == Tool::"look"', "when { context.session.calls > 2 }", {"obligation": "sing:loud"}),
    Rule("small", "permit", CALL, "when { context.args has n && context.args.n < 10 }", {}, (("n",),)),
    Rule("never", "forbid", f'{CALL} == Tool::"read"'),
    Rule("outbound", "forbid", f'{CALL} in ToolGroup::"outbound"', "when { context.session.confidentialityRank >= 2 }"),
    Rule("errs", "forbid", CALL, "when { context.args.n > 3 }", {}, (("n",),)),
    Rule("errs-on-text", "forbid", CALL, "when { context.args has n && context.args.n > 3 }", {}, (("n",),)),
    Rule("priced", "forbid", f'{CALL} == Tool::"typed"',
         'when { context.args has price && context.args.price.greaterThan(decimal("10.0")) }', {}, (("price",),)),
    Rule("deep", "forbid", CALL, "when { context.args has o && context.args.o has n && context.args.o.n == 7 }", {}, (("o", "n"),)),
    Rule("whole", "forbid", f'{CALL} == Tool::"look"', "when { context.args == {} }", {}, None),
    Rule("all-of-it", "forbid", f'{CALL} == Tool::"shell"', "when { [context].isEmpty() }", {}, None, True),
    Rule("steered", "forbid", ANY, "when { !context.flow.steered.isEmpty() } unless { context.approval.granted }",
         {"requestable": "one"}, (), True),
    Rule("nowhere", "forbid", CALL, "when { !context.flow.unknown.isEmpty() && context.session.untrusted }", {}, (), True),
    Rule("asks", "forbid", f'{CALL} == Tool::"pay"', "unless { context.approval.granted }", {"requestable": "one"}),
    Rule("asks-two", "forbid", CALL, "when { context.tierRank >= 2 } unless { context.approval.granted }", {"requestable": "four-eyes"}),
    Rule("asks-quorum", "forbid", f'{CALL} == Tool::"pay"', "when { context.args has n } unless { context.approval.granted }",
         {"requestable": "two"}, (("n",),)),
    Rule("asks-in-vain", "forbid", f'{CALL} == Tool::"send"', "", {"requestable": "one"}),
    Rule("asks-carl", "forbid", CALL, 'when { context.tier == "high" } unless { context.approval.approver == "carl" }',
         {"requestable": "one"}),
    Rule("errs-if-granted", "forbid", CALL, "when { context.approval.granted && context.args.n > 0 }", {}, (("n",),)),
    Rule("noticed-if-granted", "permit", CALL, "when { context.approval.granted }", {"obligation": "notify:approvals"}),
    Rule("only-tasks", "forbid", ANY, "unless { context has task }"),
    Rule("own-words", "forbid", ANY, "when { context has task && !context.task.purposeTrusted && context.task.depth > 1 }"),
    Rule("for-ana", "forbid", ANY, 'when { context has task && context.task.onBehalfOf == User::"eve" }'),
    Rule("late", "forbid", ANY, 'when { context.now > datetime("2027-01-15T08:10:00Z") }'),
    Rule("twice", "forbid", CALL, 'when { context.session.used.contains("pay") }'),
    Rule("never-both", "forbid", CALL, 'when { context has task && context.task.history.groups.contains("money") }'),
    Rule("then-sends", "forbid", f'{CALL} in ToolGroup::"outbound"',
         'when { context has task && context.task.history.confidentialityRank > 2 && context.task.history.effects.contains("read") }'),
    Rule("third", "forbid", ANY, "when { context has task && context.task.history.callsOfTool >= 2 }"),
    Rule("denied-often", "forbid", CALL, "when { context.session.denials > 2 }"),
    Rule("unknown-tools", "forbid", CALL, "unless { resource.annotated }"),
    Rule("files", "forbid", 'principal, action in Action::"file", resource', "when { context.session.denials > 1 }"),
    Rule("anything", "forbid", 'principal, action in Action::"any", resource', "when { context.session.denials > 2 }"),
    Rule("if-else", "forbid", CALL, "when { if context.session.untrusted then context.tierRank > 1 else context.args has n }", {}, (("n",),)),
    Rule("secret-files", "forbid", 'principal, action, resource in Folder::"/secret"'),
    Rule("ranked", "forbid", "principal, action, resource is File", "when { resource.sensitivityRank > 1 }"),
    Rule("evil-hosts", "forbid", 'principal, action, resource in Domain::"evil.com"'),
)  # fmt: skip

ERRING = Rule("always-errs", "forbid", ANY, "when { context.nothing == 1 }")
"""In no case by chance."""

TOOLS = {
    tool.name: tool
    for tool in (
        Tool("look", Annotations(ToolEffect.READ, Reach.INTERNAL, Confidentiality.PUBLIC, output_trusted=True)),
        Tool("read", Annotations(ToolEffect.READ, Reach.INTERNAL)),
        Tool("secret", Annotations(ToolEffect.READ, Reach.INTERNAL, Confidentiality.RESTRICTED, output_trusted=True)),
        Tool("send", Annotations(ToolEffect.SEND, Reach.EXTERNAL, destinations=("to",), content=("body",)), ("outbound",)),
        Tool("pay", Annotations(ToolEffect.SPEND, Reach.PRODUCTION, Confidentiality.CONFIDENTIAL), ("outbound", "money")),
        Tool("shell", Annotations(ToolEffect.EXECUTE, Reach.WORKSPACE)),
        Tool("note", Annotations(ToolEffect.WRITE, Reach.WORKSPACE, tier=Tier.HIGH, content=("body",))),
        Tool("half", Annotations(ToolEffect.READ)),
        Tool(
            "typed",
            Annotations(ToolEffect.READ, Reach.INTERNAL),
            schema={
                "type": "object",
                "properties": {"n": {"type": "integer"}, "price": {"type": "number"}, "to": {"type": "string"}},
                "additionalProperties": False,
            },
        ),
    )
}
CLASSES = (("/secret/*", Confidentiality.RESTRICTED, False), ("/public/*", Confidentiality.PUBLIC, True))
PARENTS = {
    EntityRef("Group", "trusted"): (EntityRef("Group", "all"),),
    EntityRef("ToolGroup", "money"): (EntityRef("ToolGroup", "outbound"),),
}
DIRECTORY = ("boss@corp.com", "@partner.org")
TASK_FREE = ("tool.call look", "file.*")
POOLED = Catalogue(TOOLS, CLASSES, PARENTS, DIRECTORY, TASK_FREE)


def _data(noun: Any) -> Any:
    built = msgspec.to_builtins(noun)
    return {name: value for name, value in built.items() if value not in (None, "", [], {}) and name != "definition"}


def _tool(tool: Tool) -> dict[str, Any]:
    return {**_data(tool), "annotations": _data(tool.annotations)}


@functools.cache
def published(shadow: bool) -> Bundle:
    """All of the pool, as it is published: from files."""
    manifest = {
        "name": "pool",
        "mode": "shadow" if shadow else "enforce",
        "task_free": list(TASK_FREE),
        "directory": list(DIRECTORY),
    }
    files = {
        "bundle.yaml": yaml.safe_dump(manifest),
        "policies/pool.cedar": "\n".join(rule.text for rule in (*POOL, ERRING)),
        "tools.yaml": yaml.safe_dump([_tool(tool) for tool in TOOLS.values()]),
        "resources.yaml": yaml.safe_dump(
            [
                {"type": "File", "pattern": pattern, "sensitivity": level.value, "trusted": trusted}
                for pattern, level, trusted in CLASSES
            ]
        ),
        "entities.yaml": yaml.safe_dump(
            [{"type": ref.type, "id": ref.id, "parents": [str(parent) for parent in parents]} for ref, parents in PARENTS.items()]
        ),
    }
    return bundle_of([SourceFile(path, text) for path, text in files.items()])


@functools.lru_cache(256)
def compiled(rules: tuple[str, ...], shadow: bool) -> CompiledBundle:
    """A bundle with some of the pool's policies."""
    whole = published(shadow)
    by_id = {policy.id: policy for policy in whole.contents.policies}
    contents = msgspec.structs.replace(whole.contents, policies=tuple(by_id[name] for name in rules))
    return compile_bundle(msgspec.structs.replace(whole, contents=contents))


ADDRESSES = st.sampled_from([*["evil@x.com"] * 4, "boss@corp.com", "a@partner.org", "BOSS@corp.com", "x", ""])
NUMBERS = st.sampled_from([0, 1, 4, 7, 11, 2**53 + 1, 2**63, -(2**63), 2**64, 0.5, 10.5, 4.0, 1e-5, 1e300, 12.34567, -0.0])
VALUES = st.one_of(NUMBERS, ADDRESSES, st.none(), st.booleans(), st.lists(NUMBERS | ADDRESSES | st.none(), max_size=3))
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "n": VALUES, "price": NUMBERS | ADDRESSES, "to": ADDRESSES | st.lists(ADDRESSES, max_size=2) | st.dictionaries(ADDRESSES, VALUES, max_size=2),
        "body": ADDRESSES, "o": st.dictionaries(st.sampled_from(["n", "m"]), VALUES, max_size=2) | VALUES, "other": VALUES,
    },
)  # fmt: skip
TEXTS = st.sampled_from(
    [*["write to evil@x.com"] * 4, "boss@corp.com said hello", "x y z", "4 and 11", "BOSS@CORP.COM", "nothing", ""]
)
LEVELS = st.sampled_from(Confidentiality)
LABELS = st.builds(
    Label, LEVELS, st.lists(st.sampled_from(["read", "web"]), unique=True, max_size=2).map(lambda s: tuple(sorted(s)))
)
NAMES = (*TOOLS, "unheard-of")
FAULTS = (
    "no agent", "suspended", "another subject", "another type", "malformed", "no session", "session of another task", "session of another agent",
    "task of another", "closed", "expired", "lost", "broken", "clock", "clock a little", "latest", "no task", "unknown action", "scope", "budget",
    "delegator suspended", "delegator unregistered",
)  # fmt: skip
"""What keeps a request from ever reaching a policy; most cases have none of them."""


def rarely(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Mostly the first."""
    return st.sampled_from([usual] * 2 * (len(others) + 1) + list(others))


OWNERS, GROUPS = ("ben", "dora"), ((), ("trusted",), ("all",), ("trusted", "x"))
AGENTS = st.sampled_from(
    [
        Agent(AgentId("bot"), owner, "helps", groups, version=4 * number + other)
        for number, owner in enumerate(OWNERS)
        for other, groups in enumerate(GROUPS)
    ]
)
"""A version stands for one state of an agent."""
SCOPES = st.builds(
    Scope,
    st.sampled_from([None, ("look", "send"), ("group:outbound",), ("group:money", "read", "typed"), ()]),
    st.sampled_from([None, ("/secret/",), ("/public/*",), ("*",), ()]),
    st.sampled_from([None, ("boss@corp.com",), ("@partner.org", "@corp.com"), ()]),
    st.sampled_from([None, *Confidentiality]),
)
BUDGETS = st.builds(
    Budgets,
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from([{}, {"look": 1}, {"send": 2}]),
    st.sampled_from([{}, {"pay.n": Amount(100_000)}, {"look.n": Amount(70_000)}]),
)
HISTORIES = st.builds(
    lambda used, groups, level: History(used, ("read", "read-internal"), groups, (), Label(level)),
    st.sampled_from([(), ("look",), ("read", "secret")]),
    st.sampled_from([(), ("money",), ("outbound",)]),
    LEVELS,
)
SPENT = st.builds(
    lambda calls, tools, amounts, history: Spent(calls, tools, amounts, calls, history),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["look", "send"]), st.integers(0, 2), max_size=2),
    st.sampled_from([{}, {"pay.n": Amount(60_000)}, {"look.n": Amount(1)}]),
    HISTORIES,
)
PURPOSES = st.sampled_from(["write to boss@corp.com", "tell evil@x.com about 7", "look around", "send x"])


@st.composite
def chains(draw: st.DrawFn, faults: set[str]) -> tuple[TaskState, ...]:
    """A task and what it was delegated from, leaf first; a fault is in any one of them."""
    length = draw(rarely(1, 2, 3))
    bad = draw(st.integers(0, length - 1))
    states = []
    for number in range(length):
        faulty = faults if number == bad else set()
        task = Task(
            id=TaskId(f"tsk_{number}"),
            agent=AgentId("other" if number or "task of another" in faults else "bot"),
            purpose=draw(PURPOSES),
            opener=draw(st.sampled_from(["ana", "ben"])),
            on_behalf_of=draw(rarely("ana", "eve")),
            opened=NOON + draw(st.sampled_from([-30, -5, 0])) * MINUTE,
            expires=NOON + (draw(st.sampled_from([0, 1, 11])) if "expired" in faulty else 60) * MINUTE,
            parent=TaskId(f"tsk_{number + 1}") if number + 1 < length else None,
            scope=draw(SCOPES) if "scope" in faulty else Scope(),
            budgets=draw(BUDGETS) if "budget" in faulty else Budgets(),
            status=TaskStatus.CLOSED if "closed" in faulty else TaskStatus.OPEN,
            purpose_trusted=draw(rarely(True, False)),
        )
        states.append(TaskState(task, draw(SPENT)))
    return tuple(states)


@st.composite
def sessions(draw: st.DrawFn, task: TaskId | None, faults: set[str]) -> Session:
    """A session that may have seen much."""
    return Session(
        SessionId("ses_1"),
        TaskId("tsk_else") if "session of another task" in faults else task,
        AgentId("other" if "session of another agent" in faults else "bot"),
        draw(LABELS),
        draw(st.sampled_from([{}, {}, {DecisionId("dec_a"): draw(LABELS)}])),
        draw(st.dictionaries(st.sampled_from(["look", "pay", "send"]), st.integers(1, 3), max_size=2)),
        draw(st.integers(0, 4)),
        NOON + draw(st.sampled_from([-10, -1, 0, 0])) * MINUTE,
        draw(st.integers(0, 9)),
    )


FILES = ("/secret/plan", "/secret/a/b", "/public/a", "/other", "/", "/public/../secret/a", "//secret/a", "/secret/", "/a\n")
HOSTS = ("evil.com", "a.evil.com", "corp.com", "localhost", "EVIL.com")


def act_of(chance: Random) -> tuple[str, EntityRef]:
    """What is asked for, on what: a call of a tool, mostly."""
    action = chance.choice(["tool.call"] * 6 + ["file.read"] * 2 + ["net.request"])
    named = {"file.read": ("File", FILES), "net.request": ("Host", HOSTS)}.get(action, ("Tool", NAMES))
    return action, EntityRef(named[0], chance.choice(named[1]))


def concerns(rule: Rule, action: str, resource: EntityRef) -> bool:
    """Whether the scope of a rule names no other action or resource."""
    named = re.findall(r'== (?:Tool|Action)::"([^"]+)"', rule.scope)
    return all(name in (action, resource.id) for name in named) and (action == "file.read" or "File" not in rule.scope)


@st.composite
def requests(
    draw: st.DrawFn, act: tuple[str, EntityRef], task: TaskId | None, session: SessionId | None, faults: set[str]
) -> EvaluationRequest:
    """The request that asks for it."""
    action, resource = act
    strangers = st.sampled_from([EntityRef("User", "bot"), EntityRef("Agent", "nobody")])
    return EvaluationRequest(
        draw(strangers) if "another subject" in faults else EntityRef("Agent", "bot"),
        "nothing" if "unknown action" in faults else action,
        EntityRef("Thing", resource.id) if "another type" in faults else resource,
        freeze(draw(ARGUMENTS)),
        task,
        None if "no session" in faults else session,
        malformed="unreadable" if "malformed" in faults else "",
    )


NO_FAULT: tuple[str, ...] = ()
SETS = [
    *[NO_FAULT] * 40,
    *[(fault,) for fault in FAULTS],
    *[("scope",), ("budget",), ("clock a little",)] * 6,
    *zip(FAULTS[::2], FAULTS[1::2], strict=True),
]


@st.composite
def cases(draw: st.DrawFn, shadow: bool | None = None, asking: bool = False) -> Case:
    """One decision to be made; `asking`: one that probably ends with an approval."""
    chance = Random(draw(st.integers(0, 2**32)))  # evenly, where Hypothesis would prefer the first and the least
    act = act_of(chance)
    pool = [number for number, rule in enumerate(POOL) if number and concerns(rule, *act)]
    chosen = chance.sample(pool, chance.randint(1, min(5, len(pool))))
    if asking:
        asks = [number for number in pool if "requestable" in POOL[number].annotations]
        lifted = chance.choice([[], [], *[[number] for number in pool if POOL[number].id.endswith("-if-granted")]])
        chosen = list(dict.fromkeys([chance.choice(asks), *lifted, *chosen[: chance.randint(0, 2)]]))
    if asking or chance.random() < 0.7:
        chosen = [0, *chosen]
    faults = set(chance.choice(SETS)) if not asking else set()
    chain = () if {"no task", "lost"} & faults else draw(chains(faults))
    task = chain[0].task.id if chain else TaskId("tsk_lost") if "lost" in faults else None
    session = draw(sessions(task, faults)) if chain or draw(st.booleans()) else None
    request = draw(requests(act, task, session.id if session else None, faults))
    late = draw(st.sampled_from([0, 0, 1, 11]))
    back = draw(st.sampled_from([-1_000_000, -999_999, -1_000_001])) if "clock a little" in faults else 0
    agent = draw(AGENTS)
    if "suspended" in faults:
        agent = msgspec.structs.replace(agent, status=AgentStatus.SUSPENDED)
    return Case(
        rules=tuple(POOL[number] for number in chosen),
        catalogue=POOLED,
        shadow=draw(rarely(False, True)) if shadow is None else shadow,
        request=request,
        agent=None if "no agent" in faults else agent,
        chain=chain,
        complete="broken" not in faults,
        session=session if request.session else None,
        seen=tuple(draw(st.lists(st.tuples(st.sampled_from(["read", "web"]), st.booleans(), TEXTS), max_size=3)))
        if session
        else (),
        now=NOON + (-11 if "clock" in faults else 0 if back else late) * MINUTE + back,
        latest=NOON + (12 if "latest" in faults else 0 if back else draw(st.sampled_from([-10, 0]))) * MINUTE,
        delegator=next((state for state in ("suspended", "unregistered") if f"delegator {state}" in faults), "active"),
    )


def inputs(case: Case) -> Inputs:
    """The same case for production."""
    return Inputs(
        bundle=compiled(tuple(rule.id for rule in case.rules), case.shadow),
        request=case.request,
        agent=case.agent,
        now=case.now,
        decision=DecisionId("dec_now"),
        chain=case.chain,
        complete=case.complete,
        session=case.session,
        grant=case.grant,
        observed=observe(NOTHING_OBSERVED, [Report(*output) for output in case.seen]),
        latest=case.latest,
        delegators=tuple(_delegator(state, case.delegator) for state in case.chain[1:]),
    )


def _delegator(state: TaskState, status: str) -> Agent | None:
    return None if status == "unregistered" else Agent(state.task.agent, "ben", "helps", (), AgentStatus(status))


@st.composite
def grants(
    draw: st.DrawFn, steering: tuple[Steering, ...], obligations: tuple[Obligation, ...], rule: str, reached: Label
) -> Grant:
    """An approval of what was asked for; or one that differs in one thing from what holds now."""
    differs = draw(st.sampled_from(["", "", "", "label", "flow", "obligation", "rule"]))
    if differs == "flow":
        steering = tuple(
            Steering(s.argument, s.value, "intent" if s.origin != "intent" else "directory", s.source, s.role) for s in steering
        ) or (Steering("to", "x", "intent"),)
    if differs == "obligation":
        obligations = (*obligations, Obligation("notify", "nobody", "all"))
    others = draw(st.sampled_from([(), ("carl",), ("dora",), ("eva",)])) if rule == "two" or draw(st.integers(0, 9)) == 0 else ()
    return Grant(
        ApprovalId("apr_1"),
        draw(st.sampled_from(["carl", "dora"])),
        ApproverRule.ONE if differs == "rule" else ApproverRule(rule),
        Label() if differs == "label" else reached.join(draw(LABELS)),
        steering,
        obligations,
        others=others,
    )
