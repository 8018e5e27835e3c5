"""`remit`: the verbs, and how their errors leave the process."""

import sys
from io import TextIOWrapper

import typer

from remit import __version__
from remit.cli import output
from remit.model.errors import RemitError, malformed

app = typer.Typer(
    name="remit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"remit {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 yes · 1 no · 2 unusable · 3 unavailable · 4 no such thing · 5 refused · 6 corrupt.")
def remit(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),  # noqa: ARG001
) -> None:
    """Runtime authorization and access reviews for AI agents.

    REMIT_HOME names the folder of the embedded store (default: .remit in the working folder), which verbs work on.
    REMIT_SERVER names a server: `remit call`, `remit doctor` and the guards of agents ask it.
    """
    output.begun(context)


def main() -> None:
    """Run a verb. Errors with a kind leave in one line with their exit code; nobody is shown a traceback of ours."""
    from remit.cli import verbs

    verbs.register(app)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What an agent wrote must not keep anybody from seeing the rest: what a terminal cannot show is shown by its number.
            stream.reconfigure(errors="backslashreplace")
    try:
        _check_arguments()
        app(prog_name="remit")
    except RemitError as error:
        sys.exit(output.fail(error))
    except BrokenPipeError:
        sys.exit(output.OK)
    except KeyboardInterrupt:
        output.err.print("interrupted")
        sys.exit(130)


def _check_arguments() -> None:
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        raise malformed("an argument is no valid UTF-8: correct it") from None


if __name__ == "__main__":
    main()
