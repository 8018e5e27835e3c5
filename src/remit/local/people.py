"""Files of people read in: compared with what their source said before, guarded, and committed as one."""

from collections.abc import Sequence

import msgspec

from remit.decision_log.entry import PeopleImported
from remit.inventory.people_files import Changes, check_loss, compared, left_out, read_people, with_ids
from remit.local.wiring import Embedded
from remit.model.errors import malformed, refused
from remit.model.identity import Operator, new_id
from remit.model.person import Person, PersonId
from remit.runtime.people import PeopleUpdate, all_people, change_people
from remit.runtime.runtime import Runtime

FILE = "file:"
"""What the source of people is called that come in files, before the name which these go by."""
_encode = msgspec.json.Encoder().encode
_REMEMBERED = 1000
"""So many imports back an old file is known again."""


class Import:
    """One file, as everybody whom its source has (`whole`) or as news of some; `most` percent of people may go at once."""

    def __init__(self, content: bytes, source: str, *, whole: bool, most: int, again: bool = False) -> None:
        """Raises `RemitError` (malformed), naming the line."""
        self.source, self.whole = source, whole
        self._most, self._again = most, again
        self.said, self._unsaid = read_people(content, source), left_out(content)

    def changes(self, embedded: Embedded) -> Changes:
        """What it would change now. Raises `RemitError`: malformed, refused for one that looks cut off or old."""
        return self._changes(embedded.runtime, all_people(embedded.store, self.source), embedded)

    def _changes(self, runtime: Runtime, known: Sequence[Person], embedded: Embedded) -> Changes:
        now = runtime.clock()
        found = compared(self.said, known, whole=self.whole, now=now, unsaid=self._unsaid)
        check_loss(found, known, self._most)
        if self.whole and not self._again:
            self._check_newest(embedded)
        return with_ids(found, lambda: PersonId(new_id("per", now)))

    def apply(self, embedded: Embedded, operator: Operator) -> Changes:
        """Commit what it changes, all of it or nothing. Raises as `changes` does, and `RemitError` (conflict, unavailable)."""
        runtime, told = embedded.runtime, list[Changes]()

        def say() -> PeopleUpdate:
            known = all_people(embedded.store, self.source)
            found = self._changes(runtime, known, embedded)
            told[:] = [found]
            counts = len(self.said), len(found.added), len(found.changed), len(found.gone)
            imported = PeopleImported(self.source, self._digest(runtime), self.whole, *counts, operator.id, operator.verified_by)
            return PeopleUpdate(found.people, found.same, imported)

        change_people(runtime, say, operator).result()
        return told[0]

    def _digest(self, runtime: Runtime) -> str:
        """What the file is known again by, whatever lies between its values: no digest that whoever guesses its content could make, too."""
        with runtime.view.lock:
            return runtime.view.sealing_key(None).digest(_encode(sorted(self.said, key=lambda person: person.external_id)))

    def _check_newest(self, embedded: Embedded) -> None:
        """Raises `RemitError` (refused) for a file that was read in before another one was: it says who was there then."""
        entries = embedded.store.log.by_kind("people.imported", _REMEMBERED)
        digests = [
            body.digest for entry in entries if isinstance(body := entry.body, PeopleImported) and body.source == self.source
        ]
        digest = self._digest(embedded.runtime)
        if digest in digests[1:] and digests[0] != digest:
            raise refused("this file was read in before, and a newer one since: export it anew, or say `--again`")


def file_source(name: str) -> str:
    """The source that files of this name are. Raises `RemitError` (malformed)."""
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name):
        raise malformed(f"`{name[:80]}` is no name of a source: use letters, digits and `-_.`")
    return f"{FILE}{name}"
