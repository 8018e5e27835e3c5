"""The one error family that crosses components; each kind says what a caller can do about it."""

from enum import StrEnum


class ErrorKind(StrEnum):
    """Why something could not be done, for callers to branch on; every kind stands in docs/errors.md."""

    MALFORMED = "malformed"
    """The input cannot be read: correct it and call again."""
    NOT_FOUND = "not-found"
    """No such thing: check the id."""
    CONFLICT = "conflict"
    """It changed meanwhile, or exists already: read it again."""
    REFUSED = "refused"
    """The rules do not allow it for this caller."""
    UNAVAILABLE = "unavailable"
    """A store, disk or engine did not do its work: nothing was permitted, try again later."""
    CORRUPT = "corrupt"
    """Stored data is not what was written: stop and investigate."""


class RemitError(Exception):
    """An error with a kind and a message that says what to do.

    `message` is lower case without a full stop and shows user input in backticks.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def malformed(message: str) -> RemitError:
    """Input that cannot be read."""
    return RemitError(ErrorKind.MALFORMED, message)


def not_found(message: str) -> RemitError:
    """A name or id that does not exist."""
    return RemitError(ErrorKind.NOT_FOUND, message)


def conflict(message: str) -> RemitError:
    """A change that lost a race, or a thing that exists already."""
    return RemitError(ErrorKind.CONFLICT, message)


def refused(message: str) -> RemitError:
    """A call the rules do not allow for this caller."""
    return RemitError(ErrorKind.REFUSED, message)


def unavailable(message: str) -> RemitError:
    """A store, disk or engine that failed."""
    return RemitError(ErrorKind.UNAVAILABLE, message)


def corrupt(message: str) -> RemitError:
    """Stored data that is not what was written."""
    return RemitError(ErrorKind.CORRUPT, message)
