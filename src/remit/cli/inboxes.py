"""Where access requests are looked at and answered: the store, or, where there is none, the server that the settings name."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from remit.cli.output import store, store_to_change
from remit.local.config import home_folder, read_settings, this_operator
from remit.local.wiring import Embedded, has_store, wall_clock
from remit.model.errors import RemitError, not_found, unavailable
from remit.model.identity import ApprovalId
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.inbox import Card, as_plain, card, cards
from remit.runtime.store import Approval

if TYPE_CHECKING:  # what speaks HTTP costs every other verb its start
    from remit.pep.remote.connection import Connections

SECONDS, LOOKING = 60.0, 10.0
"""So long an answer may take, and one to somebody who looks again and again."""
PAGE = 50
"""So many access requests are asked for at once."""
_ID = re.compile(r"[A-Za-z0-9_-]+")


class Inbox(Protocol):
    """Access requests, each as the JSON that programs are given."""

    def listed(self, limit: int, everything: bool) -> list[msgspec.Raw]:
        """The newest that wait; with `everything`, also those that do not."""
        ...

    def one(self, id: str) -> msgspec.Raw:
        """One of them. Raises `RemitError` (not-found)."""
        ...

    def answered(self, id: str, grant: bool, why: str, flow: bool, times: int | None) -> msgspec.Raw:
        """One that is approved or denied herewith. Raises `RemitError`."""
        ...

    def now(self) -> int:
        """The time (µs)."""
        ...


@contextmanager
def inbox(json: bool = False, change: bool = False) -> Iterator["Beside | Afar"]:
    """The inbox of this process; `json`: a server's problem is printed for programs, too; `change`: something is going to be answered.

    Raises `RemitError` (unavailable) where neither a store nor a server is named.
    """
    home = home_folder()
    settings = read_settings(home)
    if has_store(home, settings) or not settings.server:
        with store_to_change() if change else store() as embedded:
            yield Beside(embedded)
        return
    from remit.cli.calling import reach

    with closing(reach(settings)) as connections:
        yield Afar(connections, json)


class Beside:
    """That of a store, as whoever the operating system says."""

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded

    def listed(self, limit: int, everything: bool) -> list[msgspec.Raw]:
        """See `Inbox`."""
        return [written(one) for one in cards(self.embedded.runtime, limit, everything)]

    def one(self, id: str) -> msgspec.Raw:
        """See `Inbox`."""
        found = self.embedded.store.approval(ApprovalId(id))
        if found is None:
            raise _none(id)
        return self._card(found)

    def answered(self, id: str, grant: bool, why: str, flow: bool, times: int | None) -> msgspec.Raw:
        """See `Inbox`."""
        return self._card(resolve(self.embedded.runtime, ApprovalId(id), this_operator(), grant, why, flow, times).result())

    def _card(self, found: Approval) -> msgspec.Raw:
        return written(card(self.embedded.runtime, found))

    def now(self) -> int:
        """See `Inbox`."""
        return self.embedded.runtime.clock()


def written(seen: Card) -> msgspec.Raw:
    """The card as a server answers it."""
    return msgspec.Raw(msgspec.json.encode(as_plain(seen), enc_hook=str))


class Afar:
    """That of a server, as whoever the token says. `seconds` is how long an answer may take."""

    def __init__(self, connections: "Connections", json: bool) -> None:
        self._connections, self._json = connections, json
        self._size = PAGE
        self.seconds = SECONDS

    def listed(self, limit: int, everything: bool) -> list[msgspec.Raw]:
        """See `Inbox`."""
        found = list[msgspec.Raw]()
        for page, _ in self.pages(everything, limit):
            found += page
            if len(found) >= limit:
                break
        return found[:limit]

    def pages(self, everything: bool, most: int = PAGE) -> Iterator[tuple[list[msgspec.Raw], str]]:
        """The newest, page by page of no more than `most`, each with where the next one begins (empty after the last)."""
        cursor, had = "", set[str]()
        while True:
            items, cursor = self._page(everything, most, cursor)
            yield items, cursor
            if not cursor:
                return
            if cursor in had:
                raise unavailable("the list leads to a page that it had already: it has no end")
            had.add(cursor)

    def _page(self, everything: bool, most: int, cursor: str) -> tuple[list[msgspec.Raw], str]:
        from remit.cli.calling import Page
        from remit.pep.remote.timed import TOO_LONG

        while True:
            size = min(self._size, most)
            query = [("limit", str(size)), *([("all", "true")] if everything else []), *([("cursor", cursor)] if cursor else [])]
            try:
                page = msgspec.json.decode(self._asked("GET", "/v1/approvals", query), type=Page)
                return page.items, page.next_cursor
            except RemitError as error:
                # Who asks with arguments as long as may be does not hide from an approver what others ask.
                if TOO_LONG not in error.message or size == 1:
                    raise
                self._size = size // 4 or 1
            except (msgspec.MsgspecError, RecursionError):
                raise unavailable("what was answered is no list of access requests: is it a server of Remit?") from None

    def one(self, id: str) -> msgspec.Raw:
        """See `Inbox`."""
        return msgspec.Raw(self._asked("GET", f"/v1/approvals/{_named(id)}"))

    def answered(self, id: str, grant: bool, why: str, flow: bool, times: int | None) -> msgspec.Raw:
        """See `Inbox`."""
        said: dict[str, Any] = {"approve": grant}
        said |= {name: value for name, value in (("why", why), ("flows", flow), ("uses", times)) if value}
        return msgspec.Raw(self._asked("POST", f"/v1/approvals/{_named(id)}/answer", body=said))

    def _asked(self, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: Any = None) -> bytes:
        from remit.cli.call import answered
        from remit.cli.calling import ApiRequest, key_for

        data = msgspec.json.encode(body) if body is not None else None
        again = ["remit", "call", method, path, *(["--data", data.decode()] if data is not None else [])]
        request = ApiRequest(method, path, tuple(query), data, key_for(method, ""), again)
        return answered(self._connections, request, self.seconds, self._json, include=False).body

    def now(self) -> int:
        """See `Inbox`."""
        return wall_clock()


def _named(id: str) -> str:
    """The id as a part of a path. Raises `RemitError` (not-found) for what is none."""
    if not _ID.fullmatch(id):
        raise _none(id)
    return id


def _none(id: str) -> RemitError:
    return not_found(f"there is no access request `{id}`: see `remit approval list`")
