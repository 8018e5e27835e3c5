"""People from files: what a whole file says of those whom it does not name, and files that are cut off, old, or say what cannot be."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from remit.decision_log.entry import PeopleImported
from remit.inventory.people_files import check_loss, compared, read_people
from remit.local.people import Import
from remit.model.errors import ErrorKind, RemitError
from remit.model.person import OwnerState, Person, PersonStatus
from remit.runtime.directory import directory_of
from remit.runtime.people import all_people
from tests.cli.running import error, ok
from tests.faults.disk import DISK_FULL, failing_at
from tests.runtime.world import ANA, World

HEAD = "id,user_name,name,email,manager,active,groups,names\n"
ANNE = "1,anne,Anne Bo,anne@corp.com,,true,staff;board,https://idp.example#a1\n"
BEN = "2,ben,Ben Ode,ben@corp.com,anne@corp.com,true,staff,\n"
EVA = "3,eva,Eva Li,eva@corp.com,1,yes,,\n"
SOURCE = "file:csv"


def said(text: str) -> list[Person]:
    return read_people(text.encode(), SOURCE)


def fault(text: str | bytes) -> str:
    with pytest.raises(RemitError) as caught:
        read_people(text if isinstance(text, bytes) else text.encode(), SOURCE)
    assert caught.value.kind is ErrorKind.MALFORMED
    return caught.value.message


class TestReading:
    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.encode(),
            lambda text: text.encode("utf-8-sig"),
            lambda text: text.replace("\n", "\r\n").encode(),
            lambda text: text.replace("Anne Bo", '"Anne Bo"').encode(),
            lambda text: text.replace("anne,", " anne ,").encode() + b"\n\n",
        ],
        ids=["plain", "byte order mark", "CRLF", "quotes", "space and empty lines"],
    )
    def test_one_file_however_it_is_written(self, change: Callable[[str], bytes]) -> None:
        anne, ben = read_people(change(HEAD + ANNE + BEN), SOURCE)
        assert (anne.external_id, anne.user_name, anne.name, anne.email) == ("1", "anne", "Anne Bo", "anne@corp.com")
        assert anne.groups == ("staff", "board") and anne.also == ("https://idp.example#a1",)
        assert (ben.manager, ben.status) == ("anne@corp.com", PersonStatus.ACTIVE)

    def test_quoted_values_keep_their_commas_and_quotes(self) -> None:
        [one] = said('id,user_name,name\n1,bo,"Bo, ""the"" Ode"\n')
        assert one.name == 'Bo, "the" Ode'

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "first line"),
            ("id,name\n1,x\n", "`user_name` among them"),
            ("id,user_name,colour\n1,x,red\n", "first line"),
            ("id,id,user_name\n1,1,x\n", "each once"),
            (HEAD + ANNE + "2,ben,Ben O", "ends within a line"),
            (HEAD + ANNE + "2,ben,Ben O\n", "line 3 has 3 of 8 values"),
            (HEAD + ANNE + '2,ben,"Ben O\n', "no CSV"),
            (HEAD + ANNE + "2,ben,B\x00en,,,,,\n", "line 3"),
            (HEAD + "1,,,,,,,\n", "no user name"),
            (HEAD + ",anne,,,,,,\n", "no `id`"),
            (HEAD + "1,anne,,,,perhaps,,\n", "`perhaps`"),
            (HEAD + "1,anne,,,,,,\n1,ben,,,,,,\n", "`1` stands in the file 2 times"),
            (HEAD + "1,anne,,,,,,\n2,ANNE,,,,,,\n", "`anne` stands in the file 2 times"),
            (HEAD + "1,anne,,,anne,,,\n", "`1 -> 1` manage each other"),
            (HEAD + "1,a,,,2,,,\n2,b,,,c@x,,,\n3,c,,c@x,1,,,\n", "`1 -> 2 -> 3 -> 1` manage each other"),
            (HEAD + f"1,{'a' * 300},,,,,,\n", "at most 256"),
            (HEAD + "1,anne\u202e,,,,,,\n", "cannot be kept"),
        ],
    )
    def test_what_cannot_be_is_told_with_its_line(self, text: str, words: str) -> None:
        assert words in fault(text)

    def test_another_encoding_is_refused(self) -> None:
        assert "not UTF-8" in fault((HEAD + ANNE).encode("utf-16"))

    def test_a_manager_whom_nobody_knows_is_a_sign_of_a_cut(self) -> None:
        people = said(HEAD + BEN)
        with pytest.raises(RemitError, match=r"anne@corp\.com` of `2` is nobody in the file or before it"):
            compared(people, [], whole=True, now=1)
        assert compared(people, said(HEAD + ANNE), whole=False, now=1).added

    @pytest.mark.parametrize(
        ("had", "left", "passes"), [(10, 8, True), (10, 7, False), (2, 1, True), (3, 1, False), (40, 0, False)]
    )
    def test_how_many_may_go_at_once(self, had: int, left: int, passes: bool) -> None:
        def people(count: int) -> list[Person]:
            return said("id,user_name\n" + "".join(f"{n},u{n}\n" for n in range(count)))

        changes = compared(people(left), people(had), whole=True, now=1)
        assert len(changes.gone) == had - left
        if passes:
            check_loss(changes, people(had), 20)
            return
        with pytest.raises(RemitError, match=f"{had - left} of {had} people would be gone") as caught:
            check_loss(changes, people(had), 20)
        needed = int(caught.value.message.split("--most-gone ")[1].rstrip("`"))
        check_loss(changes, people(had), needed)

    def test_saying_of_everybody_that_they_may_not_act_is_a_loss_too(self) -> None:
        changes = compared(said(HEAD + "1,a,,,,no,,\n2,b,,,,no,,\n"), said(HEAD + "1,a,,,,,,\n2,b,,,,,,\n"), whole=False, now=1)
        with pytest.raises(RemitError, match="2 of 2 people"):
            check_loss(changes, said(HEAD + "1,a,,,,,,\n2,b,,,,,,\n"), 20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def state_of(world: World, name: str) -> OwnerState:
    return directory_of(world.store).known_as(name).standing.state


@pytest.mark.sqlite
class TestImporting:
    def test_a_whole_file_says_who_is_gone_and_a_part_does_not(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE + BEN + EVA)
        assert "3 new" in ok("people", "import", str(file), "--whole", "--dry-run")
        assert not all_people(guarded.store, "") and not [e for e in guarded.entries() if isinstance(e.body, PeopleImported)]
        assert "3 new" in ok("people", "import", str(file), "--whole")
        file.write_text(HEAD + EVA.replace("eva@", "li@"))
        shown = ok("people", "import", str(file), "--part")
        assert (
            "1 changed" in shown
            and "eva@corp.com" not in shown.split("read in")[1]
            and state_of(guarded, "ben") is OwnerState.ACTIVE
        )
        assert "active, owned by ben" in ok("agent", "show", "bot") or state_of(guarded, "ben") is OwnerState.ACTIVE
        file.write_text(HEAD + ANNE + EVA)
        shown = ok("people", "import", str(file), "--whole")
        assert "- " in shown and "ben (active): gone" in shown and "1 gone" in shown
        assert state_of(guarded, "ben@corp.com") is OwnerState.GONE
        assert "ben" in ok("people", "list", "--gone") and "gone since" in ok("people", "show", "ben")
        guarded.verified()

    def test_a_part_leaves_what_it_has_no_column_for(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE + BEN)
        ok("people", "import", str(file), "--whole")
        file.write_text("id,user_name,active\n2,ben,false\n")
        shown = ok("people", "import", str(file), "--part")
        assert "ben (active): gone (inactive)" in shown and "0 changed, 1 gone" in shown
        assert {state_of(guarded, name) for name in ("ben", "ben@corp.com")} == {OwnerState.GONE}
        file.write_text("id,user_name,name\n2,ben,Ben Oder\n1,anne,Anne Bo\n")
        assert "name: Ben Ode -> Ben Oder" in ok("people", "import", str(file), "--part")
        assert state_of(guarded, "ben") is OwnerState.GONE, "nobody said that they are there"
        anne, ben = sorted(all_people(guarded.store, SOURCE), key=lambda one: one.user_name)
        assert (ben.name, ben.email, ben.manager, ben.groups) == ("Ben Oder", "ben@corp.com", "anne@corp.com", ("staff",))
        assert anne.also == ("https://idp.example#a1",) and anne.version == 1
        [told] = [e.body for e in guarded.entries() if isinstance(e.body, PeopleImported)][1:2]
        assert (told.changed, told.gone) == (0, 1)

    def test_a_whole_file_that_empties_whoever_is_gone_brings_nobody_back(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE + BEN)
        ok("people", "import", str(file), "--whole")
        file.write_text("id,user_name,active\n1,anne,true\n2,ben-deleted,false\n")
        ok("people", "import", str(file), "--whole")
        assert {state_of(guarded, name) for name in ("ben", "ben-deleted", "ben@corp.com")} == {OwnerState.GONE}
        assert state_of(guarded, "anne@corp.com") is OwnerState.UNKNOWN, "a whole file says all of whoever is there"

    def test_what_says_nothing_new_changes_nothing_but_when_it_was_seen(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE)
        ok("people", "import", str(file), "--whole")
        [before] = all_people(guarded.store, SOURCE)
        shown = ok("people", "import", str(file), "--whole")
        [after] = all_people(guarded.store, SOURCE)
        assert "0 changed" in shown and "1 as they were" in shown
        assert after.version == before.version == 1 and after.seen > before.seen

    def test_which_of_both_it_is_must_be_said(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE)
        assert "--whole" in error("people", "import", str(file)).message
        assert "--whole" in error("people", "import", str(file), "--whole", "--part").message
        assert error("people", "import", str(file) + "x", "--part").kind is ErrorKind.NOT_FOUND
        assert "cannot be read" in error("people", "import", str(file.parent), "--part").message

    def test_an_old_whole_file_brings_nobody_back(self, guarded: World, file: Path) -> None:
        old, new = file.with_name("old.csv"), file
        old.write_text(HEAD + ANNE + BEN + EVA)
        new.write_text(HEAD + ANNE + EVA)
        ok("people", "import", str(old), "--whole")
        ok("people", "import", str(new), "--whole")
        assert hashlib.sha256(old.read_bytes()).hexdigest().encode() not in b"".join(guarded.store.log.lines())
        refused = error("people", "import", str(old), "--whole")
        assert refused.kind is ErrorKind.REFUSED and "a newer one since" in refused.message
        for written in (HEAD + ANNE + BEN + EVA + "\n", (HEAD + EVA + BEN + ANNE).replace("\n", "\r\n")):
            old.write_text(written, newline="")
            assert "a newer one since" in error("people", "import", str(old), "--whole").message, "however it is written"
        assert state_of(guarded, "ben") is OwnerState.GONE
        ok("people", "import", str(old), "--whole", "--again")
        assert state_of(guarded, "ben") is OwnerState.ACTIVE

    def test_half_a_file_makes_nobody_gone(self, guarded: World, file: Path) -> None:
        whole = HEAD + "".join(f"{n},user{n},,,,,,\n" for n in range(10))
        file.write_text(whole)
        ok("people", "import", str(file), "--whole")
        for cut in range(len(HEAD), len(whole) - 40, 7):
            file.write_text(whole[:cut])
            assert error("people", "import", str(file), "--whole").kind in (ErrorKind.MALFORMED, ErrorKind.REFUSED)
        assert {person.status for person in all_people(guarded.store, SOURCE)} == {PersonStatus.ACTIVE}

    def test_sources_do_not_touch_each_other(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE)
        ok("people", "import", str(file), "--whole")
        file.write_text("id,user_name\n1,zoe\n")
        assert "1 new" in ok("people", "import", str(file), "--whole", "--source", "other")
        assert [person.user_name for person in all_people(guarded.store, SOURCE)] == ["anne"]
        assert "no name of a source" in error("people", "import", str(file), "--whole", "--source", "a b").message

    def test_a_shared_address_is_warned_of(self, guarded: World, file: Path) -> None:
        file.write_text("id,user_name,email\n1,anne,all@corp.com\n2,ben,all@corp.com\n")
        assert "2 people of the file go by `all@corp.com`" in ok("people", "import", str(file), "--part")

    def test_erased_people_come_back_as_somebody_new(self, guarded: World, file: Path) -> None:
        file.write_text(HEAD + ANNE)
        ok("people", "import", str(file), "--whole")
        [anne] = all_people(guarded.store, SOURCE)
        ok("people", "erase", anne.id)
        assert error("people", "show", "anne").kind is ErrorKind.NOT_FOUND
        assert error("people", "erase", "per_nobody").kind is ErrorKind.NOT_FOUND
        assert "1 new" in ok("people", "import", str(file), "--whole")
        assert {person.status for person in all_people(guarded.store, SOURCE)} == {PersonStatus.ERASED, PersonStatus.ACTIVE}

    def test_a_full_disk_changes_nobody(self, world: World) -> None:
        reading = Import((HEAD + ANNE + BEN).encode(), SOURCE, whole=True, most=20)
        disk = failing_at(world, "INSERT OR REPLACE INTO people", DISK_FULL)
        with pytest.raises(RemitError, match="full"):
            reading.apply(world.embedded, ANA)
        disk.mend()
        assert not all_people(world.store, SOURCE)
        assert len(reading.apply(world.embedded, ANA).added) == 2


class TestTogether:
    def test_two_imports_at_once_lose_nothing(self, world: World) -> None:
        """Each is compared with what is stored when it commits, not with what it found before."""
        first = Import((HEAD + ANNE + BEN).encode(), SOURCE, whole=True, most=20)
        second = Import((HEAD + ANNE + EVA).encode(), SOURCE, whole=False, most=20)
        assert len(first.changes(world.embedded).added) == len(second.changes(world.embedded).added) == 2
        first.apply(world.embedded, ANA)
        assert [person.user_name for person in second.apply(world.embedded, ANA).added] == ["eva"]
        assert sorted(person.user_name for person in all_people(world.store, SOURCE)) == ["anne", "ben", "eva"]
        world.verified()


def test_a_large_file_is_read_in_no_more_than_its_share_of_time() -> None:
    rows = [f"{n},user{n},,,{n // 10 if n > 9 else ''},,,\n" for n in range(4000)]
    began = time.monotonic()
    assert len(said(HEAD + "".join(rows))) == 4000
    assert time.monotonic() - began < 15, "as many steps as people, not as pairs of them"
