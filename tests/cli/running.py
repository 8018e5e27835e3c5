"""The command line as a person runs it, in this process and on the store of a test."""

import io

from rich.console import Console, RenderableType
from typer.testing import CliRunner, Result

from remit.cli import verbs
from remit.cli.main import app
from remit.model.errors import RemitError

LOWERING = """
@id("lowering") permit (principal, action == Action::"session.declassify", resource);
@id("lowering-asks") @requestable("four-eyes")
forbid (principal, action == Action::"session.declassify", resource) unless { context.approval.granted };
"""
"""Policies under which somebody else must agree before a session's label is lowered."""

if not app.registered_commands:
    verbs.register(app)


def run(*arguments: str, input: str | None = None) -> Result:
    """Run a verb; its result, whatever it is."""
    return CliRunner().invoke(app, list(arguments), input=input)


def ok(*arguments: str) -> str:
    """What a verb prints that succeeds; raises what it raises."""
    result = run(*arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def error(*arguments: str) -> RemitError:
    """The error that a verb ends with; fails if there is none."""
    result = run(*arguments)
    assert isinstance(result.exception, RemitError), (result.exit_code, result.output, result.exception)
    return result.exception


def printed(shown: RenderableType, columns: int = 80) -> str:
    """What a terminal of this width shows."""
    text = io.StringIO()
    Console(file=text, width=columns, highlight=False).print(shown)
    return text.getvalue()
