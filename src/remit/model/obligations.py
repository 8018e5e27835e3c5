"""The obligations that enforcement points understand; a bundle that asks for any other is refused."""

from collections.abc import Mapping

KNOWN_OBLIGATIONS: Mapping[str, str] = {
    "deadline": "the action must end within so many seconds, or its result is withheld",
    "limit-result": "a result of more than so many bytes is withheld",
    "notify": "a line is written to the named channel",
    "redact-result": "the named fields (comma-separated) are removed from the result",
}
