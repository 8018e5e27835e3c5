"""Lists in pages: an opaque cursor says where the next one begins, for the same question alone."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from remit.model.errors import malformed

MOST = 500
USUAL = 50
_encode = msgspec.json.Encoder().encode
_digested = msgspec.json.Encoder(order="deterministic").encode
T = TypeVar("T")
_FOREIGN = "`cursor` is no `next_cursor` of ours: begin without one"
_ANOTHER = "`cursor` is of another list or other filters: all but `limit` and the cursor must stay as it was"


class Paged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list: at most `limit`, from where `cursor` (the `next_cursor` of the page before) says."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = USUAL
    cursor: Annotated[str, msgspec.Meta(max_length=4096)] = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list. `next_cursor` leads to the next, and is empty with the last; a page may have fewer than `limit`."""

    items: Sequence[T]
    next_cursor: str


class _Place(msgspec.Struct, frozen=True):
    """Behind what a page begins, what was asked for, by digest, and how many at most on each page, where that must stay."""

    after: str
    query: str
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None


_decode_place = msgspec.json.Decoder(_Place).decode


def query_digest(*asked: Any) -> str:
    """A digest of all that must not change from page to page."""
    return hashlib.sha256(_digested(asked)).hexdigest()


def token_of(after: str, query: str, limit: int | None = None) -> str:
    """An opaque token for what comes behind `after`, of this query's digest."""
    return base64.urlsafe_b64encode(_encode(_Place(after, query, limit))).decode()


def resumed(token: str, query: str, foreign: str, another: str) -> tuple[str, int | None]:
    """Behind what to go on, empty for the beginning, and how many at most, where the token says so. Raises `RemitError` (malformed), in
    these words for no token of ours, and for one of another query."""
    if not token:
        return "", None
    try:
        place = _decode_place(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise malformed(foreign) from None
    if place.query != query:
        raise malformed(another)
    return place.after, place.limit


class PageRequest(msgspec.Struct, frozen=True):
    """A page that is asked for: at most `limit`, behind `after` (empty from the beginning)."""

    limit: int
    after: str
    query: str

    def page(self, found: Iterable[tuple[str, T]]) -> Page[T]:
        """The page of what was found, each with the name that it is gone on behind."""
        shown = list(islice(found, self.limit + 1))
        more = len(shown) > self.limit
        return self.ended([one for _, one in shown[: self.limit]], shown[self.limit - 1][0] if more else "")

    def ended(self, items: Sequence[T], after: str) -> Page[T]:
        """The page of these, with more behind `after` (empty for none)."""
        return Page(items, token_of(after, self.query) if after else "")

    def number(self) -> int | None:
        """The number behind which to go on, None from the beginning. Raises `RemitError` (malformed)."""
        if not self.after:
            return None
        if not self.after.isascii() or not self.after.isdecimal() or len(self.after) > 18:
            raise malformed(_FOREIGN)
        return int(self.after)


def asked_of(where: str, wanted: Paged) -> PageRequest:
    """The page of the list at `where` that is wanted. Raises `RemitError` (malformed) for a cursor that is none of it."""
    rest = {name: value for name, value in msgspec.to_builtins(wanted).items() if name not in ("limit", "cursor")}
    query = query_digest(where, rest)
    return PageRequest(wanted.limit, resumed(wanted.cursor, query, _FOREIGN, _ANOTHER)[0], query)
