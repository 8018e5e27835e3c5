"""A check that failed."""

from remit.model.decision import Reason


class Refusal(Exception):
    """The reason code, and what the caller can do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
