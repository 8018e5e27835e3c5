"""Times on the wire: RFC 3339, in UTC."""

from datetime import UTC, datetime

from remit.model.errors import malformed

MICROSECONDS = 1_000_000
_EPOCH = datetime.fromtimestamp(0, UTC)


def written(moment: int) -> str:
    """A time (µs since the epoch), to the second, never later than it is."""
    return datetime.fromtimestamp(moment // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: object, where: str) -> int:
    """The time (µs since the epoch). Raises `RemitError` (malformed) naming the member."""
    try:
        if not isinstance(text, str) or len(text) > 40:
            raise ValueError
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return int((found - _EPOCH).total_seconds() * MICROSECONDS)
    except (ValueError, OverflowError):
        raise malformed(f"`{where}` must be a time like `2026-04-30T20:25:00Z`") from None
