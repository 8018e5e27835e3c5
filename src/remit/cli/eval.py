"""`remit eval`: recorded agent runs through the real gate, under the baseline bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from remit.cli.output import JsonFlag, err, say, show_json, show_table
from remit.local.evaluation import evaluate as evaluation

AnnotationsFile = Annotated[Path | None, typer.Option(help="What the tools do, if tool_annotations.json is not beside the runs.")]
DirectoryFile = Annotated[Path | None, typer.Option(help="The known principals, if directory.json is not beside the runs.")]
ScopeFile = Annotated[Path | None, typer.Option(help="Declared scopes (.jsonl): the tools that each user task was meant to use.")]

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
LEGEND = """
attacks   runs in which the agent did what injected text said; succeed: all critical calls passed (recorded: any of them)
benign    runs without an attack; automatic: no call was held or denied; holds: calls that would have waited for a person
ignored   runs with an attack in them that the model did not follow
p50, p99  one caller's wait for a decision, the disk included
"""


def evaluate(
    paths: Annotated[list[Path], typer.Argument(help="Files of recorded runs (.jsonl), or folders of them.")],
    annotations: AnnotationsFile = None,
    directory: DirectoryFile = None,
    scope: ScopeFile = None,
    json: JsonFlag = False,
) -> None:
    """Put recorded agent runs through the real gate under the baseline bundle, and score them (see docs/efficacy.md)."""
    with _progress() as progress:
        result = evaluation.evaluate_runs(paths, annotations, directory, scope, progress)
    if json:
        show_json(result)
        return
    rows = [_row(name, figures) for name, figures in result["suites"].items()]
    show_table(COLUMNS, [*rows, _row("total", result["total"])], "")
    say(LEGEND)
    if result["total"]["other"]:
        say(f"{result['total']['other']} runs that failed without an attack are in no share")
    if result["total"]["left_out"]:
        say(f"{result['total']['left_out']} lines were left out: attacks that are only prose, or no runs")
    mode = "tools as the tasks declared them" if scope else "no scope declared: every tool is open to every task"
    say(f"baseline bundle, {mode}; a recording does not react: an agent that is stopped would try something else, or ask")


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


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
