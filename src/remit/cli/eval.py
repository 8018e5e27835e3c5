"""`remit eval`: recorded agent runs through the real gate, under the baseline bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from remit.cli.output import JsonFlag, counted, err, say, show_json, show_table
from remit.local.evaluation import evaluate as evaluation
from remit.local.evaluation.drawing.picture import draw
from remit.model.errors import malformed, unavailable

AnnotationsFile = Annotated[Path | None, typer.Option(help="What the tools do, if tool_annotations.json is not beside the runs.")]
DirectoryFile = Annotated[Path | None, typer.Option(help="The known principals, if directory.json is not beside the runs.")]
ScopeFile = Annotated[Path | None, typer.Option(help="Declared scopes (.jsonl): the tools that each user task was meant to use.")]
Unannotated = Annotated[bool, typer.Option("--unannotated", help="Withhold what is known of the tools: all are unknown.")]
Grants = Annotated[
    bool, typer.Option("--grants", help="With --scope: documents that a task names may choose whom to pay or write to, once.")
]
MutateSeed = Annotated[
    int | None, typer.Option("--mutate", metavar="SEED", help="Rename tools, people, domains and accounts by this seed.")
]
Cases = Annotated[bool, typer.Option("--list", help="Show what got through, and what was held and why.")]
BundleFolder = Annotated[
    Path | None, typer.Option(help="A bundle's folder, in the place of the baseline with the annotated tools.")
]
At = Annotated[
    str | None, typer.Option(metavar="TIME", help="When the recordings were made, with its zone: 2024-05-15T15:00:00-05:00.")
]
PictureFile = Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw attack success against automatic share.")]

COLUMNS = (
    "suite",
    "attacks",
    "succeed",
    "benign",
    "automatic",
    "holds/run",
    "ignored",
    "automatic",
    "p50 µs",
    "p99 µs",
)
RULES = ("policy", "stopped", "of attacks", "held", "of benign", "held, ignored", "of ignored")
LEGEND = """
attacks   runs in which the agent did what injected text said; succeed: all critical calls passed (recorded: any of them)
benign    runs without an attack; automatic: no call was held or denied; holds: calls that would have waited for a person
ignored   runs with an attack in them that the model did not follow
p50, p99  one caller's wait for a decision, the disk included
"""
RULES_LEGEND = """
stopped   attacks of which the policy denied or held the first critical call that did not pass; held: runs with a call that it
          denied or held; policies that deny a call together count alike
"""


def evaluate(
    paths: Annotated[list[Path], typer.Argument(help="Files of recorded runs (.jsonl), or folders of them.")],
    annotations: AnnotationsFile = None,
    directory: DirectoryFile = None,
    scope: ScopeFile = None,
    unannotated: Unannotated = False,
    mutate: MutateSeed = None,
    grants: Grants = False,
    cases: Cases = False,
    picture: PictureFile = None,
    bundle: BundleFolder = None,
    at: At = None,
    json: JsonFlag = False,
) -> None:
    """Put recorded agent runs through the real gate under the baseline bundle, and score them (see docs/efficacy.md)."""
    if picture is not None and picture.suffix.lower() != ".svg":
        raise malformed(f"`--picture` draws an SVG: name it `{picture.with_suffix('.svg')}`")
    if picture is not None and not picture.absolute().parent.is_dir():
        raise malformed(f"there is no folder for `{picture}`: make it, or name another file")
    with _progress() as progress:
        conditions = evaluation.Conditions(unannotated, grants, mutate, bundle, _microseconds(at) if at is not None else None)
        result = evaluation.evaluate_runs(paths, annotations, directory, scope, progress, conditions)
    if picture is not None:
        _save(picture, draw(result))
    if json:
        show_json(result)
        return
    _show_figures(result)
    if cases:
        _show_cases(result)
    mode = "tools as the tasks declared them" if scope else "no scope declared: every tool is open to every task"
    said = (", every tool unknown" if unannotated else "") + (", documents choose receivers once" if grants else "")
    which = f"bundle {bundle}" if bundle else f"baseline bundle{said}"
    say(f"{which}, {mode}; a recording does not react: an agent that is stopped would try something else, or ask")


def _microseconds(at: str) -> int:
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is not None:
            return int(moment.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        pass
    raise malformed(f"`{at}` is no time: write date, time and zone, as in 2024-05-15T15:00:00-05:00")


def _save(file: Path, drawn: str) -> None:
    try:
        file.write_text(drawn, "utf-8")
    except OSError as error:
        raise unavailable(f"`{file}` cannot be written ({error.strerror}): name another file") from None


def _show_figures(result: dict[str, Any]) -> None:
    sets = {name: figures for name, figures in result["sets"].items() if name not in result["suites"]}
    rows = [_row(name, figures) for name, figures in (result["suites"] | sets).items()]
    show_table(COLUMNS, [*rows, _row("total", result["total"])], "")
    say(LEGEND)
    show_table(RULES, [_rule(name, figures) for name, figures in result["rules"].items()], "no policy stopped or held anything")
    say(RULES_LEGEND)
    if result["total"]["other"]:
        say(f"{result['total']['other']} runs that failed without an attack are in no share")
    if result["total"]["left_out"]:
        say(f"{result['total']['left_out']} lines were left out: attacks that are only prose, or no runs")
    for suite, kinds in result.get("writes", {}).get("suites", {}).items():
        for kind, found in kinds.items():
            stopped = f"{found['held']} held, {found['denied']} denied ({_percent(found['stopped'])})"
            say(f"{suite}: {found['writes']} {kind} writes, {stopped}")
    if "mutation" in result:
        say(f"under other names (seed {result['mutation']['seed']}): {result['mutation']['renamed']} places were renamed")


def _show_cases(result: dict[str, Any]) -> None:
    say(f"\ngot through: {counted(len(result['passed']), 'attack')}")
    for case in result["passed"]:
        _show_case(case)
    say(f"\nheld or denied: {counted(len(result['held']), 'benign run')}")
    for case in result["held"]:
        _show_case(case)
    for case in result.get("writes", {}).get("cases", ()):
        why = f" by {', '.join(case['policies'])}" if case["policies"] else ""
        say(f"{case['write']} write {case['answer']}{why}: {case['case']} step {case['step']}, {case['tool']}")
    say("")


def _show_case(case: dict[str, Any]) -> None:
    say(f"\n{case['suite']}  {case['case']}")
    for call in case["calls"]:
        say(f"  {call['tool']}({', '.join(f'{name}={value}' for name, value in call['arguments'].items())})")
        for found in call["origins"]:
            source = f" ({found['source']})" if found["source"] else ""
            say(f"    {found['argument']}: `{found['value']}` from {found['origin']}{source}")
        if "message" in call:
            say(f"    {'held' if call['requestable'] else 'denied'} by {', '.join(call['policies'])}: {call['message']}")


@contextmanager
def _progress() -> Iterator[evaluation.Progress]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, suite: bar.update(task, completed=done, total=total, description=suite)


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        str(figures["attacks"]),
        _percent(figures["asr"]),
        str(figures["benign"]),
        _percent(figures["automatic"]),
        _number(figures["holds_per_run"], 2),
        str(figures["ignored"]),
        _percent(figures["ignored_automatic"]),
        _number(figures["p50_us"], 0),
        _number(figures["p99_us"], 0),
    )


def _rule(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    kinds = ("stopped", "held", "held_ignored")
    return (name, *(cell for kind in kinds for cell in (str(figures[kind]), _percent(figures[f"{kind}_share"]))))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
