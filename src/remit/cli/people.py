"""`remit people`: who is who, from files; list, show and erase them."""

from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, counted, say, show_json, show_table, store, store_to_change, warn, when
from remit.inventory.people import without_marks
from remit.inventory.people_files import MAX_FILE, Changes, shared_names
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.errors import malformed, not_found, unavailable
from remit.model.person import OwnerState, Person, PersonId, PersonStatus, folded
from remit.runtime.people import all_people, confirm_people, erase_person, readmit

MAX_WARNED = 10
app = typer.Typer(no_args_is_help=True)
Whoever = Annotated[str, typer.Argument(help="A person's id, or any of their names.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file; see docs/people.md for its columns.")],
    whole: Annotated[bool, typer.Option("--whole", help="It has everybody: whoever is not in it is gone.")] = False,
    part: Annotated[bool, typer.Option("--part", help="It has news of some: nobody else is touched.")] = False,
    source: Annotated[str, typer.Option(help="The name that files of this directory go by.")] = "csv",
    most_gone: Annotated[int, typer.Option(min=0, max=100, help="So many percent of people may go at once.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Take a whole file that was read in before a newer one.")] = False,
    json: JsonFlag = False,
) -> None:
    """Read people in from a file, all of it or nothing; what changes is said first."""
    from remit.local.people import Import, file_source

    if whole == part:
        raise malformed("say whether the file has everybody (`--whole`) or news of some (`--part`)")
    reading = Import(_content(file), file_source(source), whole=whole, most=most_gone, again=again)
    with (store if dry_run else store_to_change)() as embedded:
        changes = reading.changes(embedded) if dry_run else reading.apply(embedded, this_operator())
    if json:
        names = {"added": changes.added, "changed": [new for _, new in changes.changed], "gone": [new for _, new in changes.gone]}
        show_json({**names, "same": len(changes.same), "applied": not dry_run})
        return
    for name, count in shared_names(reading.said)[:MAX_WARNED]:
        warn(f"{count} people of the file go by `{name}`: they are taken for one, who cannot approve for another")
    _show_changes(changes)
    counts = (
        f"{len(changes.added)} new, {len(changes.changed)} changed, {len(changes.gone)} gone, {len(changes.same)} as they were"
    )
    say(
        f"would change: {counts}"
        if dry_run
        else f"read in {counted(len(changes.people) + len(changes.same), 'record')}: {counts}"
    )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise not_found(f"there is no file `{file}`: give the path of a CSV file") from None
    except OSError as error:
        raise unavailable(f"`{file}` cannot be read ({error.strerror}): give the path of a CSV file") from None


def _show_changes(changes: Changes) -> None:
    rows = [("+", person.external_id, _said(person)) for person in changes.added]
    for old, new in changes.changed:
        differs = [
            name
            for name in ("user_name", "name", "email", "manager", "groups", "also")
            if getattr(old, name) != getattr(new, name)
        ]
        moved = [f"{name}: {_value(old, name)} -> {_value(new, name)}" for name in differs]
        if old.status is not new.status:
            moved.append(f"{old.status.value} -> {new.status.value}")
        rows.append(("~", new.external_id, "; ".join(moved)))
    rows += [("-", new.external_id, f"{_said(old)}: gone ({new.status.value})") for old, new in changes.gone]
    show_table(("", "id", "what"), rows, "nothing changes")


def _value(person: Person, name: str) -> str:
    value = getattr(person, name)
    return (", ".join(value) if isinstance(value, tuple) else value) or "nothing"


def _said(person: Person) -> str:
    return f"{person.user_name} ({person.status.value})"


@app.command("list")
def list_(
    source: Annotated[str, typer.Option(help="Of this source alone, as it stands in the list.")] = "",
    gone: Annotated[bool, typer.Option("--gone", help="Those alone who are not there any more.")] = False,
    json: JsonFlag = False,
) -> None:
    """List people, as each source knows them."""
    with store() as embedded:
        people = all_people(embedded.store, source)
    if gone:
        people = [person for person in people if person.status is not PersonStatus.ACTIVE]
    if json:
        show_json([without_marks(person) for person in people])
        return
    rows = [(p.id, p.source, p.user_name or "-", _status(p), when(p.since), p.manager or "-", p.name) for p in people]
    show_table(("person", "source", "user", "status", "since", "manager", "name"), rows, "nobody: run `remit people import`")


@app.command("show")
def show(name: Whoever, json: JsonFlag = False) -> None:
    """Show who goes by a name: all records and names that are one person's, whether they are gone, what they own."""
    with store() as embedded:
        directory, wanted = embedded.runtime.view.directory, _name_of(embedded.store.person(PersonId(name)), name)
        known, manager = directory.known_as(wanted), directory.manager_of(wanted)
        agents = [agent.id for agent in embedded.store.agents() if known.is_one_of([agent.owner])] if known.whole else []
    if not known.people and not known.erased:
        raise not_found(f"nobody goes by `{name}`: see `remit people list`")
    standing, erased = known.standing, [without_marks(person) for person in known.erased]
    if json:
        about = {"names": sorted(known.names), "standing": standing, "manager": manager, "agents": agents}
        show_json({**about, "records": known.people, "erased": erased})
        return
    since = f" since {when(standing.since)}" if standing.state is OwnerState.GONE else ""
    since += ", not confirmed since the store was restored" if standing.unconfirmed else ""
    say(f"{name}: {standing.state.value}{since}; goes by {', '.join(sorted(known.names))}")
    say(f"managed by {manager.user_name if manager else 'nobody that is known'}; owns {', '.join(agents) or 'no agent'}")
    if not known.whole:
        say("more people share these names than can be told apart: mend the directory", "yellow")
    for person in known.people:
        times = (
            f"{person.status.value} since {when(person.since)}, {f'seen {when(person.seen)}' if person.seen else 'not confirmed'}"
        )
        say(f"  {person.id}  {person.source}: {person.user_name}, {times}")
    for person in erased:
        sources = ", ".join(person.left.sources) if person.left is not None else ""
        say(f"  {person.id}  erased, and gone as {sources} said: `remit people readmit {person.id}` forgets that, too")


def _name_of(person: Person | None, name: str) -> str:
    return person.user_name if person is not None else folded(name)


def _status(person: Person) -> str:
    if person.left is not None:
        return f"{person.status.value}, and gone"
    return person.status.value if person.seen else f"{person.status.value}, not confirmed"


@app.command("confirm")
def confirm(
    source: Annotated[str, typer.Option(help="Of this source alone, as it stands in the list.")] = "",
    json: JsonFlag = False,
) -> None:
    """After a restore: say that the people of the backup are still there. Say first who has left since (`remit people import`)."""
    with store_to_change() as embedded:
        count = confirm_people(embedded.runtime, source, this_operator()).result()
    show_json({"source": source, "people": count}) if json else say(f"confirmed {counted(count, 'record')}")


@app.command("readmit")
def readmit_(
    person: Annotated[str, typer.Argument(help="Their id, as `remit people show NAME` has it.")], json: JsonFlag = False
) -> None:
    """Forget of somebody who was erased that they had gone: their token is good again, and nothing is left of them here."""
    with store_to_change() as embedded:
        readmit(embedded.runtime, PersonId(person), this_operator()).result()
    show_json({"person": person}) if json else say(f"let in again: {person}")


def warnings(embedded: Embedded) -> tuple[str, ...]:
    """What whoever looks after a store must know of at once."""
    waiting = embedded.store.unconfirmed()
    if not waiting:
        return ()
    of = ", ".join(f"{count} of `{source}`" for source, count in sorted(waiting.items()))
    return (
        f"since the store was restored nobody has said who is still there: {of} are refused until their source does, or"
        " `remit people confirm`",
    )


@app.command("erase")
def erase(
    person: Annotated[str, typer.Argument(help="Their id, as `remit people list` has it.")], json: JsonFlag = False
) -> None:
    """Erase a person: nothing that was said of them can be read again, in the log neither. Whoever is gone stays so, namelessly."""
    with store_to_change() as embedded:
        erase_person(embedded.runtime, PersonId(person), this_operator()).result()
    show_json({"person": person}) if json else say(f"erased {person}")
