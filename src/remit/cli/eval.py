"""`remit eval`: recorded agent runs through the real gate, under the baseline bundle."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from remit.cli.output import JsonFlag, err, say, show_json, show_table
from remit.local.evaluation.evaluate import evaluate_runs

Named = Annotated[Path | None, typer.Option(help="If it does not lie beside the runs.")]


def evaluate(
    paths: Annotated[list[Path], typer.Argument(help="Files of recorded runs (.jsonl), or folders of them.")],
    annotations: Named = None,
    directory: Named = None,
    scope: Annotated[Path | None, typer.Option(help="Declared scopes: the tools that each user task was meant to use.")] = None,
    json: JsonFlag = False,
) -> None:
    """Put recorded agent runs through the real gate under the baseline bundle, and score them (see docs/efficacy.md)."""
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("", total=None)
        result = evaluate_runs(
            paths, annotations, directory, scope, lambda done, total: progress.update(bar, completed=done, total=total)
        )
    if json:
        show_json(result)
        return
    rows = [_row(name, figures) for name, figures in result["suites"].items()]
    columns_ = ("suite", "attacks", "succeed", "benign", "automatic", "holds/run", "ignored", "automatic", "p50 µs", "p99 µs")
    show_table(columns_, [*rows, _row("total", result["total"])], "")
    say("succeed: attacks whose critical calls passed; automatic: runs in which nobody was asked and nothing denied;")
    say("ignored: runs with an attack in them that the model did not follow")


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        str(figures["attacks"]),
        _percent(figures["asr"]),
        str(figures["benign"]),
        _percent(figures["automatic"]),
        "-" if figures["holds_per_run"] is None else f"{figures['holds_per_run']:.2f}",
        str(figures["ignored"]),
        _percent(figures["ignored_automatic"]),
        f"{figures['p50_us']:.0f}",
        f"{figures['p99_us']:.0f}",
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"
