"""What the demonstration says and shows."""

from pathlib import Path

import msgspec
from rich.box import ROUNDED
from rich.panel import Panel
from rich.prompt import Confirm
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from remit.cli.demo.story import Happened
from remit.cli.demo.world import ATTACKER_IBAN, World
from remit.cli.output import out, say
from remit.decision_log.entry import ApprovalResolved, DecisionMade, Entry, FlowGranted, OutcomeSeen, TaskClosed, TaskOpened
from remit.decision_log.verify import Report
from remit.local.wiring import Embedded
from remit.model.task import Task

_WIDTH = 100


def _heading(text: str) -> None:
    out.print()
    out.print(Rule(f"[bold]{text}[/]", align="left", style="dim"), width=_WIDTH)


def opening(purpose: str, agent: str, opener: str) -> None:
    """What is about to happen."""
    text = Text.assemble(
        ("An agent that pays invoices, with real files and a real ledger.\n", "bold"),
        f"{opener} opens a task for agent {agent}: ",
        (f"“{purpose}”", "italic"),
        ".\nAt most 500.00 EUR may be paid. One of the documents it reads was written by an attacker.",
    )
    out.print(Panel(text, title="remit demo", title_align="left", box=ROUNDED, border_style="cyan", width=_WIDTH))
    _heading("The agent works")


def move(happened: Happened) -> None:
    """One call, and what came of it."""
    made = happened.move
    arguments = ", ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in made.arguments.items())
    out.print(Text.assemble(("  agent ", "dim"), (made.thought, "italic")))
    say(f"        {made.tool}({_short(arguments, 84)})")
    if happened.denied is None:
        result = happened.result if isinstance(happened.result, str) else msgspec.json.encode(happened.result).decode()
        out.print(Text.assemble(("      ✔ permitted ", "bold green"), _short(" ".join(result.split()), 76)))
    else:
        decision = happened.denied.decision
        out.print(Text.assemble(("      ✘ denied ", "bold red"), (f"{decision.reason.value} ", "red"), decision.message))
        for steering in decision.basis.steering:
            if steering.origin == "untrusted":
                found = f"{steering.value} comes from {steering.source}, which anybody can write to"
                out.print(Text.assemble(("        because ", "dim"), (found, "yellow")))
    out.print()


def ask(panel: Panel, yes: bool) -> bool:
    """Put an access request before the person at the terminal."""
    _heading("A person is asked")
    panel.width = _WIDTH
    out.print(panel)
    if yes:
        out.print("  Approve this one call? [bold]yes[/] (--yes)\n")
        return True
    try:
        granted = Confirm.ask("  Approve this one call?", console=out, default=False)
    except EOFError:  # INVARIANT (fail closed): where nobody is asked, nobody approves
        out.print("\n  Nobody is at the terminal: it is denied (with --yes, it is approved)")
        granted = False
    out.print()
    return granted


def balance(world: World) -> None:
    """What really happened in the world."""
    _heading("What really happened")
    for iban, amount, reference in world.payments():
        say(f"  paid   {amount:.2f} EUR to {iban} for {reference}")
    for receiver in world.sent():
        say(f"  mailed {receiver}")
    stolen = [payment for payment in world.payments() if payment[0] == ATTACKER_IBAN]
    leaked = [receiver for receiver in world.sent() if "mail-relay" in receiver]
    colour, words = ("red", "THE ATTACK SUCCEEDED") if stolen or leaked else ("green", "nothing went to the attacker")
    out.print(f"  [bold {colour}]{words}[/]")


def timeline(embedded: Embedded, task: Task) -> None:
    """The task from intent to outcome, as the log has it."""
    _heading("From intent to outcome, as the log has it")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("ms", "what", "decision", "outcome", "untrusted read"):
        table.add_column(column, justify="right" if column == "ms" else "left", no_wrap=True)
    entries = embedded.store.log.by_task(task.id)
    outcomes = {entry.body.decision: entry.body for entry in entries if isinstance(entry.body, OutcomeSeen)}
    for entry in entries:
        row = _row(entry, outcomes)
        if row is not None:
            table.add_row(f"{(entry.time - entries[0].time) / 1000:.0f}", *row)
    out.print(table)


def _row(entry: Entry, outcomes: dict[str, OutcomeSeen]) -> tuple[str | Text, ...] | None:
    match entry.body:
        case TaskOpened() as opened:
            return (f"task opened by {opened.opener} for {opened.on_behalf_of}", "", "", "")
        case TaskClosed() as closed:
            return (f"task closed by {closed.operator}", "", "", "")
        case FlowGranted() as granted:
            return (f"data flow granted by {granted.operator}", "", "", "")
        case ApprovalResolved() as answered:
            return (f"{answered.state} by {answered.operator}", "", "", "")
        case DecisionMade() as made:
            colour = "green" if made.effect == "permit" else "red"
            outcome = outcomes.get(made.id)
            touched = ", ".join(made.sources) or "nothing"
            return (made.resource, Text(made.reason, colour), outcome.status if outcome else "-", touched)
        case _:
            return None


def verified(report: Report) -> None:
    """The verifier's word on the log."""
    _heading("The log convinces a stranger")
    colour = "green" if report.verified else "red"
    words = "verified" if report.verified else "NOT verified"
    out.print(
        Text.assemble((f"  ✔ {words} ", f"bold {colour}"), f"{report.size} entries: every byte, every chain, the signed head")
    )


def tampered(report: Report) -> None:
    """The verifier's word on the copy in which a denial became a permit."""
    if report.verified:
        out.print("  [bold red]a tampered copy was not caught: this is a defect[/]")
        return
    first = report.findings[0]
    out.print(
        Text.assemble(
            ("  ✔ a copy in which one denial became a permit is caught: ", "bold green"),
            f"line {first.line}: {first.message}",
        )
    )


def ending(seconds: float, home: Path | None) -> None:
    """How long it took, and where to go on."""
    _heading("Go on")
    kept = f"the store is in {home}: try `remit decision list`, `remit log verify`" if home else "your own store: `remit init`"
    say(f"  {seconds:.1f} s, no network; {kept}")


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
