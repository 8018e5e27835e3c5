"""All that a server has to say, as lines: what its loggers are told, faults without the values that they were about, and requests."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb

from remit.model.clock import Clock
from remit.server.observing.lines import Lines
from remit.server.observing.written import Format, Value

TOLD = "told"
"""What a record of our loggers has beside its message: an `extra` of this name."""
MAX_FRAMES = 12
MAX_ERRORS = 4
_ADDRESS = re.compile(
    r"""(\b[a-z][a-z0-9+.-]{0,30}://)(?:[^\s/?#@'"]*@)?([^\s/?#'"]*)[^\s'"]*|(\burl:? ?)['"]?[^\s'"]+""", re.IGNORECASE
)
"""An address in what a library says; of one only scheme, host and port are told: the rest may be a key (`?api-key=…`)."""
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?:.*\n)*([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt))(?::.*)?\n*", re.ASCII
)
"""What uvicorn says of an error in the beginning or the end of an application."""
_SAYS_VALUES = frozenset({"opentelemetry.util.re"})
"""Loggers that are given values of variables, which may be secrets (`OTEL_EXPORTER_OTLP_HEADERS`), to say that they cannot be read."""
_LEVELS = {"remit": logging.INFO, "uvicorn": logging.INFO, "asyncio": logging.WARNING}


def stack_of(error: BaseException) -> str:
    """Where an error comes from, and the one that it was raised for: their kinds and places in the code, none of the values."""
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < MAX_ERRORS:
        frames = [(frame.f_code, line) for frame, line in walk_tb(following.__traceback__)][-MAX_FRAMES:]
        places = " < ".join(f"{_place(code.co_filename)}:{line} {code.co_name}" for code, line in reversed(frames))
        parts.append(f"{type(following).__name__} at {places or 'no place'}")
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return " | for ".join(parts)


def _told(address: re.Match[str]) -> str:
    return f"{address[1]}{address[2]}" if address[1] else f"{address[3]}…"


def _place(file: str) -> str:
    return "/".join(file.replace("\\", "/").split("/")[-3:])


class Handler(logging.Handler):
    """Takes what loggers are told. Of a message that is not ours, or that comes with an error, only the first line: what follows may
    have the error's words, and those may have anything of a request."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line of it; a record that cannot be read is told as one."""
        values: dict[str, Value] = {}
        try:
            message = record.getMessage() if record.name not in _SAYS_VALUES else str(record.msg)
            error = record.exc_info[1] if record.exc_info else None
            ours = record.name.startswith("remit")
            if not ours and (traced := _TRACEBACK.fullmatch(message)) is not None:
                message = f"ended by an error ({traced[1]})"  # its kind, without its words
            elif error is not None or not ours:
                message = message.partition("\n")[0]
            if not ours:
                message = _ADDRESS.sub(_told, message)
            values = {"message": message, **getattr(record, TOLD, {})}
            if error is not None:
                values |= {"error": type(error).__name__, "stack": stack_of(error)}
        except Exception as fault:  # a logger that was misused must not end what it was about
            values = {"message": "a record that cannot be read", "error": type(fault).__name__}
        self._lines.write(record.levelname.lower(), record.name, **values)


@contextmanager
def reporting(format: Format, clock: Clock, dropped: Callable[[int], None] = lambda _count: None) -> Iterator[Lines]:
    """Lines on standard error, of all that is logged in this process meanwhile."""
    descriptor = _standard_error()
    lines = Lines(descriptor, format, clock, dropped)
    root, hook = logging.getLogger(), threading.excepthook
    before, levels = (root.handlers[:], root.level), {name: logging.getLogger(name).level for name in _LEVELS}
    root.handlers[:] = [Handler(lines)]
    root.setLevel(logging.WARNING)
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    threading.excepthook = _ended
    try:
        yield lines
    finally:
        threading.excepthook = hook
        logging.captureWarnings(False)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if lines.close() and descriptor is not None:
            os.close(descriptor)


def _standard_error() -> int | None:
    """A descriptor of its own for standard error, None where there is none: the next file that is opened may have number 2, and be the
    store."""
    try:
        return os.dup(sys.stderr.fileno()) if sys.stderr is not None else None
    except OSError:
        return None


def _ended(gone: threading.ExceptHookArgs) -> None:
    if gone.exc_value is not None:
        logging.getLogger("remit.server").error("a thread ended by an error", exc_info=gone.exc_value)
