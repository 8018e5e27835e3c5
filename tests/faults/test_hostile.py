"""Hostile input: names and arguments that try to mean something else, to break the log, or to make `evaluate` raise."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import remit
from remit.decision_log.sealed import open_sealed
from remit.decision_log.sealing import SealKey
from remit.inventory.agents import registered
from remit.model.decision import Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import EntityRef
from remit.model.request import MAX_NAME
from remit.model.task import Budgets, Scope, Session
from remit.model.values import freeze
from remit.runtime import administration, sessions
from remit.runtime.approving import answering
from remit.runtime.tasks import AgentOpener, Opening, close_task, open_task
from tests.runtime.world import ANA, World, asked, permit, reason

NAMES = [
    "../../etc/passwd", "a'b\"c`d", "line\nbreak", "carriage\rreturn", "nul\x00byte", "'; DROP TABLE entries; --", '","kind":"outcome","x":"',
    "Agent::\"bot\"", "\x1b[31mred", "\u202egnp.exe", "é" * 50, "\\", "%s%n", "{}", "", " ", "bot ", "BOT", "bot\n", "__entity", "\U0001f600",
    "x" * 100_000, "\ud800", "bot\udfff",
]  # fmt: skip
PLACES = [
    "agent",
    "agent type",
    "tool",
    "resource type",
    "file",
    "action",
    "task",
    "session",
    "upstream",
    "definition",
    "malformed",
]


def shown(name: str) -> str:
    return ascii(name)[1:25]


def hostile(session: Session, place: str, name: str) -> dict[str, Any]:
    return {
        "agent": {"subject": EntityRef("Agent", name)}, "agent type": {"subject": EntityRef(name, "bot")},
        "tool": {"resource": EntityRef("Tool", name)}, "resource type": {"resource": EntityRef(name, "look")},
        "file": {"action": "file.read", "resource": EntityRef("File", name)}, "action": {"action": name},
        "task": {"task": name}, "session": {"session": name}, "upstream": {"upstream": name}, "definition": {"definition": name},
        "malformed": {"malformed": name or "x"},
    }[place]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=shown)
def test_a_hostile_name_is_decided_on_and_on_record_wherever_it_stands(world: World, name: str) -> None:
    session = world.open_session()
    for number, place in enumerate(PLACES, 1):
        decision = world.ask(session, "look", **hostile(session, place, name))
        if place not in ("tool", "upstream", "definition"):
            assert isinstance(decision, Deny), (place, decision)
        assert len(world.decisions()) == number, place
        assert world.decisions()[-1].id == decision.id
    permit(world.ask(session, "look"))
    assert world.verified().permits >= 1


@pytest.mark.parametrize("name", ["bot ", "BOT", "bot\n", "bot\x00", " bot", "bоt", "bot\u200b"], ids=ascii)
def test_no_other_spelling_is_the_agent(world: World, name: str) -> None:
    assert reason(world.ask(world.open_session(), "look", subject=EntityRef("Agent", name))) is Reason.AGENT_UNKNOWN


@pytest.mark.parametrize("name", [name for name in NAMES if name.isprintable() and 0 < len(name) <= MAX_NAME // 2], ids=shown)
def test_a_name_in_the_log_is_exactly_the_one_that_was_asked_for(world: World, name: str) -> None:
    world.ask(world.open_session(), "look", resource=EntityRef("Tool", name), upstream=name)
    [made] = world.decisions()
    assert (made.upstream, made.resource[:4096]) == (name, name[:4096])


@pytest.mark.parametrize("name", NAMES, ids=shown)
def test_hostile_argument_names_and_values_are_data(world: World, name: str) -> None:
    session = world.open_session()
    try:
        arguments = freeze({name: name, "to": [name, {name: name}]})
    except RemitError as error:
        assert error.kind is ErrorKind.MALFORMED
        assert "\ud800" in name or "\udfff" in name or name.startswith("__")
        return
    decision = permit(world.ask(session, "write", arguments=arguments))
    key = SealKey(world.store.secret(session.task))
    [made] = world.decisions()
    sealed = open_sealed(made, key)
    assert sealed is not None and bytes(sealed.arguments) == arguments.canonical
    assert made.arguments == key.digest(arguments.canonical) and made.id == decision.id
    if len(name) > 8:
        assert name.encode() not in b"".join(world.store.log.lines()), "arguments are sealed"


def test_a_name_of_any_length_does_not_fill_the_log(world: World) -> None:
    session = world.open_session()
    for place in PLACES:
        world.ask(session, "look", **hostile(session, place, "x" * 1_000_000))
    assert sum(map(len, world.store.log.lines())) < 2_000_000


@pytest.mark.parametrize("name", [name for name in NAMES if name != "BOT"], ids=shown)
def test_hostile_names_are_refused_by_administration(world: World, name: str) -> None:
    task = world.open_task()
    acts: list[Any] = [
        lambda: administration.change_agent(world.runtime, name, lambda a: registered(a, name, "ben", "helps", ()), ANA),
        lambda: administration.change_agent(world.runtime, "b", lambda a: registered(a, "b", name, "helps", ()), ANA),
        lambda: open_task(world.runtime, Opening(name, "work"), ANA),
        lambda: open_task(world.runtime, Opening("bot", "work", type=name or "x"), ANA),
        lambda: open_task(world.runtime, Opening("bot", "work", on_behalf_of=name or " "), ANA),
        lambda: open_task(world.runtime, Opening("bot", "work", parent=name), ANA),
        lambda: sessions.open_session(world.runtime, name),  # type: ignore[arg-type]
        lambda: close_task(world.runtime, name, "ana"),  # type: ignore[arg-type]
        lambda: administration.erase(world.runtime, name, ANA),  # type: ignore[arg-type]
        lambda: answering.resolve(world.runtime, name, ANA, True),  # type: ignore[arg-type]
    ]
    for number, act in enumerate(acts):
        with pytest.raises(RemitError):
            act().result()
            pytest.fail(f"act {number} was not refused")
    permit(world.ask(world.open_session(task), "look"))


@pytest.mark.parametrize("text", ["\ud800", "nul\x00", "\x1b[2J", "", "  ", "x" * 20_000])
def test_a_purpose_is_words(world: World, text: str) -> None:
    with pytest.raises(RemitError):
        world.open_task(text)


@pytest.mark.parametrize("opening", [
    {"budgets": Budgets(calls=2**64)}, {"budgets": Budgets(tools={"look": 2**70})}, {"budgets": Budgets(amounts={"pay.amount": 2**80})},
    {"seconds": 10**30}, {"budgets": Budgets(calls=-1)}, {"seconds": 0}, {"seconds": -5}, {"scope": Scope(tools=("\ud800",))},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("by_agent", [False, True])
def test_a_task_with_impossible_bounds_is_refused_and_breaks_nothing(
    world: World, opening: dict[str, Any], by_agent: bool
) -> None:
    """An agent opens sub-tasks itself: what it asks for must not end the writer that all depend on."""
    session = world.open_session()
    try:
        if by_agent:
            opener = AgentOpener(session.agent, session.id)
            asks = Opening(**{"agent": "bot", "purpose": "go on", "parent": session.task, **opening})
            opened = open_task(world.runtime, asks, opener).result()
            assert opened.expires <= world.runtime.clock() + 3600 * 1_000_000
        else:
            world.open_task(**opening)
    except RemitError as error:
        assert error.kind in (ErrorKind.MALFORMED, ErrorKind.REFUSED)
    permit(world.ask(session, "look"))


class Thing:
    """What is no data."""


@pytest.mark.parametrize("value", [
    math.nan, math.inf, "x" * 10_000_000, b"x" * 10_000_000, "\ud800", {"__entity": {"type": "Agent", "id": "root"}},
    {"a": [{"__extn": {"fn": "ip", "arg": "::"}}]}, {1: 2}, Thing(), [Thing()], bytearray(b"x"), lambda: 1, {"\ud800": 1}, {"__\ud800": 1},
    pytest.param(eval("[" * 70 + "]" * 70), id="deep"), 10**5000,
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_a_guarded_function_never_runs_on_what_is_no_data(guarded: World, value: Any) -> None:
    ran = []

    @remit.guard
    def look(value: Any) -> None:
        ran.append(value)

    with remit.task("look around", agent="bot"), pytest.raises(remit.Denied) as caught:
        look(value)
    assert caught.value.reason is Reason.MALFORMED_ARGUMENTS
    assert ran == []
    [made] = guarded.decisions()
    assert (made.effect, made.reason) == ("deny", "malformed-arguments")
    assert guarded.verified()


@pytest.mark.parametrize("name", ["__entity", "__\ud800", "\ud800", "a\x00b"])
def test_keyword_names_are_data_too(guarded: World, name: str) -> None:
    ran = []

    @remit.guard
    def look(**named: Any) -> None:
        ran.append(named)

    with remit.task("look around", agent="bot"):
        if name == "a\x00b":
            look(**{name: 1})
        else:
            with pytest.raises(remit.Denied) as caught:
                look(**{name: 1})
            assert caught.value.reason is Reason.MALFORMED_ARGUMENTS
    assert len(ran) == (name == "a\x00b")
    assert len(guarded.decisions()) == 1


@pytest.mark.parametrize("path", ["/tmp/nul\x00", "/tmp/\udc80", "x" * 5000], ids=ascii)
def test_a_hostile_path_is_denied_and_on_record(guarded: World, path: str) -> None:
    ran = []

    @remit.guard(action="file.read", resource="path")
    def read(path: str) -> None:
        ran.append(path)

    with remit.task("look around", agent="bot"), pytest.raises(remit.Denied):
        read(path)
    assert ran == [] and len(guarded.decisions()) == 1


def test_a_link_is_followed_before_the_decision(guarded: World, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "plan").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "secret" / "plan")
    seen = []

    @remit.guard(action="file.read", resource="path")
    def read(path: str) -> None:
        seen.append(path)

    with remit.task("look around", agent="bot", scope=Scope(resources=(f"{tmp_path}/*",))):
        read(str(tmp_path / "link"))
        with pytest.raises(remit.Denied):
            read(str(tmp_path / ".." / "elsewhere"))
    assert seen == [os.path.realpath(tmp_path / "secret" / "plan")]


def test_numbers_beyond_2_53_reach_the_function_exactly(guarded: World) -> None:
    seen = []

    @remit.guard
    def look(*numbers: int) -> None:
        seen.extend(numbers)

    numbers = [2**53 + 1, 2**63, 2**64, -(2**63) - 1]
    with remit.task("look around", agent="bot"):
        look(*numbers)
    assert seen == numbers


def test_a_bool_is_no_number_and_a_number_no_text(world: World) -> None:
    session = world.open_session(budgets=Budgets(amounts={"pay.amount": 100_0000}))  # type: ignore[dict-item]
    for amount in (True, [1], {"n": 1}, "ten", "NaN", "Infinity", "-1", -1, -0.01, "", 1e16, "1e400"):
        assert reason(world.ask(session, "pay", {"amount": amount})) is Reason.MALFORMED_ARGUMENTS
    for amount in (100.00001, "100.00001", 101, "1e3"):
        assert reason(world.ask(session, "pay", {"amount": amount})) is Reason.BUDGET_EXHAUSTED
    for amount in (0, 100, "100", 99.9999, 1e2, None):
        assert reason(world.ask(session, "pay", {"amount": amount})) is Reason.APPROVAL_REQUIRED


def cli(home: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "remit.cli.main", *arguments],
        env={**os.environ, "REMIT_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
        capture_output=True, timeout=60, check=False, cwd=home.parent,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [
    ["agent", "register", "../../x", "--owner", "ben", "--purpose", "helps"], ["agent", "register", "a\nb", "--owner", "ben", "--purpose", "p"],
    ["agent", "suspend", "'; DROP TABLE agents; --"], ["task", "open", "work", "--agent", "\udcff"],
    ["task", "open", "\udcff", "--agent", "bot"], ["task", "show", "../../x"], ["task", "close", "\x1b[31m"],
    ["decision", "show", "\udcff"], ["decision", "explain", "dec_'\""], ["approval", "approve", "apr_\n"],
    ["task", "open", "work", "--agent", "bot", "--calls", "99999999999999999999999"],
], ids=lambda arguments: ascii(" ".join(arguments))[1:40])  # fmt: skip
def test_the_command_line_refuses_hostile_names_in_one_line(world: World, arguments: list[str]) -> None:
    done = cli(world.home, *arguments)
    assert done.returncode not in (0, 1), done
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert b"\x1b[31m" not in done.stderr
    permit(world.ask(world.open_session(), "look"))


def test_hostile_names_in_the_log_are_listed_harmlessly(world: World) -> None:
    session = world.open_session()
    for name in ("\x1b[31mred", "two\nlines", "[bold]markup[/bold]", "\u202eright"):
        assert isinstance(world.ask(session, "look", upstream=name, subject=EntityRef("Agent", name)), Deny)
        decision = world.embedded.evaluate(asked(session, name)).result()
        assert isinstance(decision, Deny | Permit)
    for verb in (["decision", "list"], ["decision", "list", "--json"]):
        done = cli(world.home, *verb)
        assert done.returncode == 0, done.stderr.decode()
        assert b"\x1b[31m" not in done.stdout
