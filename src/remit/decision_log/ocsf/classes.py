"""The OCSF classes, activities, statuses and severities that events use, by the numbers and captions of the schema."""

from typing import Any, NamedTuple

VERSION = "1.8.0"


class Class(NamedTuple):
    """An event class and its category."""

    uid: int
    name: str
    category_uid: int
    category_name: str


BASE = Class(0, "Base Event", 0, "Uncategorized")
SESSION = Class(3003, "Authorize Session", 3, "Identity & Access Management")
ENTITY = Class(3004, "Entity Management", 3, "Identity & Access Management")
LIFECYCLE = Class(6002, "Application Lifecycle", 6, "Application Activity")
CALL = Class(6003, "API Activity", 6, "Application Activity")

OTHER = 99
"""An id whose caption is the source's own word."""


class Caption(NamedTuple):
    """An id of an enumeration, and what stands beside it."""

    id: int
    name: str


CREATE, UPDATE, DELETE = Caption(1, "Create"), Caption(3, "Update"), Caption(4, "Delete")
READ = Caption(2, "Read")
ACTIVATE, DEACTIVATE = Caption(10, "Activate"), Caption(11, "Deactivate")
SUSPEND, RESUME = Caption(12, "Suspend"), Caption(13, "Resume")
START = Caption(3, "Start")
ASSIGN = Caption(1, "Assign Privileges")

UNKNOWN, SUCCESS, FAILURE = Caption(0, "Unknown"), Caption(1, "Success"), Caption(2, "Failure")
INFORMATIONAL, LOW, MEDIUM, HIGH = Caption(1, "Informational"), Caption(2, "Low"), Caption(3, "Medium"), Caption(4, "High")

ALLOWED, DENIED, OBSERVED = Caption(1, "Allowed"), Caption(2, "Denied"), Caption(3, "Observed")
LET_THROUGH, BLOCKED, LOGGED = Caption(1, "Allowed"), Caption(2, "Blocked"), Caption(17, "Logged")


class Event(NamedTuple):
    """What a kind of entry becomes: a class and what is done in it, its attributes, and which fields of the entry those carry."""

    what: Class
    activity: Caption
    attributes: dict[str, Any]
    carries: tuple[str, ...]
    status: Caption = SUCCESS
    severity: Caption = INFORMATIONAL
    correlation: str | None = None
    profiles: tuple[str, ...] = ()
