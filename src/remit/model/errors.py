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


STORE_FAILED = "the store cannot be used now: ask again later; the log of the server says why"
"""What a caller over a network is told of a store, which may be a model: where it is, and what it says, is for whoever runs it."""


class RemitError(Exception):
    """An error with a kind and a message that says what to do.

    `message` is lower case without a full stop and shows user input in backticks; `told` is what callers over a network read instead, the
    same where nothing else is given.
    """

    def __init__(self, kind: ErrorKind, message: str, told: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.told = told or message


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


def corrupt(message: str, told: str = "") -> RemitError:
    """Stored data that is not what was written."""
    return RemitError(ErrorKind.CORRUPT, message, told)


def store_failed(message: str) -> RemitError:
    """A store that cannot be used: `message` may say where it is, and what it answered."""
    return RemitError(ErrorKind.UNAVAILABLE, message, STORE_FAILED)
