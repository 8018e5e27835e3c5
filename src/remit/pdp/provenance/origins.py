"""Where values can come from, from the best to the worst."""

from typing import NamedTuple

INTENDED, KNOWN, TRUSTED, GRANTED, NAMED, RECORD = "intent", "directory", "trusted", "granted", "named", "record"
LINKED, DOCUMENT, UNKNOWN, STEERED = "linked", "document", "nowhere", "untrusted"
ORIGINS = (INTENDED, KNOWN, TRUSTED, GRANTED, NAMED, RECORD, LINKED, DOCUMENT, UNKNOWN, STEERED)
"""From the best to the worst."""
BADNESS = {origin: rank for rank, origin in enumerate(ORIGINS)}
"""How bad each is, for comparing."""


class Origin(NamedTuple):
    """Where a value came from, and the tool output it was found in, if any."""

    name: str
    source: str = ""
