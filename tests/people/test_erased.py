"""Those who were erased once they had gone: no name of theirs is kept, and by none of them are they served again. On every store."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from remit.decision_log.entry import PersonErased, PersonReadmitted
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, Operator
from remit.model.person import LOGIN, OwnerState, Person, PersonStatus
from remit.runtime import people
from remit.runtime.approving.answering import resolve
from remit.runtime.audit import differences
from remit.runtime.emergency import break_glass
from remit.runtime.store import TASK_FREE
from tests.backup.building import made, put_back
from tests.cli.running import error, ok
from tests.conftest import OpenStore
from tests.people.test_directory import OWNED, asked_for, moved, person, refusal, standing, tell
from tests.runtime.world import ANA, NOON, Clock, World, permit, reason, small_bundle

SCIM = "scim:okta"
GONE, ACTIVE, UNKNOWN = OwnerState.GONE, OwnerState.ACTIVE, OwnerState.UNKNOWN


def erase(world: World, *who: Person) -> None:
    for one in who:
        people.erase_person(world.runtime, one.id, ANA).result()


def states(world: World, *names: str) -> list[OwnerState]:
    return [standing(world, name)[0] for name in names]


def kept(world: World, who: Person) -> Person:
    found = world.store.person(who.id)
    assert found is not None
    return found


def fails(world: World, who: Person, kind: ErrorKind) -> None:
    with pytest.raises(RemitError) as caught:
        people.readmit(world.runtime, who.id, ANA).result()
    assert caught.value.kind is kind


def test_whoever_had_gone_stays_so_by_every_name_and_no_name_is_kept(world: World) -> None:
    identity = "https://idp.example#00u7"
    dora, kim = tell(
        world,
        person(world, "dora", "team@corp.com", external_id="17", also=(identity,)),
        person(world, "kim", "team@corp.com", external_id="18"),
    )
    world.runtime.clock.forward(60)  # type: ignore[attr-defined]
    gone = moved(world, dora, PersonStatus.INACTIVE)
    world.runtime.clock.forward(60)  # type: ignore[attr-defined]
    erase(world, gone)
    for name in ("dora", "DORA ", identity, "17", "team@corp.com"):
        assert standing(world, name) == (GONE, NOON + 60_000_000), name
    assert states(world, "kim", "18", "dor") == [ACTIVE, ACTIVE, UNKNOWN], "their source tells them apart"
    assert "is gone, as the directory says since 2027-01-15" in refusal(world, asked_for(world), "dora")
    left = kept(world, gone)
    assert left.left is not None and (left.names, left.left.sources) == (frozenset(), ("file:csv",))
    assert all(len(mark.partition(":")[2]) == 64 for mark in left.left.marks), "HMACs"
    assert [e.body for e in world.entries() if isinstance(e.body, PersonErased)] == [PersonErased(dora.id, "ana", "os", True)]
    assert not differences(world.store.log, world.store)
    erase(world, kim)
    assert kept(world, kim).left is None and states(world, "kim") == [UNKNOWN], "of whoever was there nothing is kept"


@pytest.mark.sqlite
def test_a_mark_says_nothing_to_whoever_has_another_store(open_store: OpenStore) -> None:
    marks = []
    for name in ("one", "other"):
        world = open_store(name)
        [dora] = tell(world, person(world, "dora", status=PersonStatus.REMOVED))
        erase(world, dora)
        left = kept(world, dora).left
        assert left is not None
        marks.append(set(left.marks))
    assert marks[0].isdisjoint(marks[1])


def test_who_was_known_by_a_login_too_stays_gone_by_its_own_names_and_makes_nobody_else_so(world: World) -> None:
    own = ("https://idp.example#00u7", "00u7")
    source = f"{LOGIN}https://idp.example"
    dora, _, login = tell(
        world,
        person(world, "dora", "dora@corp.com", source=SCIM, status=PersonStatus.REMOVED),
        person(world, "kim"),
        person(world, "kim", "dora@corp.com", source=source, external_id="00u7", also=own),
    )
    assert states(world, *own) == [GONE, GONE]
    erase(world, login)
    assert states(world, *own, "dora@corp.com", "kim") == [GONE, GONE, GONE, ACTIVE]
    erase(world, dora)
    assert states(world, *own, "dora@corp.com", "kim") == [GONE, GONE, GONE, ACTIVE]
    tell(world, person(world, "dora", source=SCIM))
    assert states(world, *own, "dora", "kim") == [UNKNOWN, UNKNOWN, ACTIVE, ACTIVE], "the source lets both in again"


SHARED = "team@corp.com"
ISSUED = "https://idp.example#00u7"


def test_a_source_that_lags_lets_nobody_in_once_the_record_that_says_so_is_erased(world: World) -> None:
    dora, _, other = tell(
        world,
        person(world, "dora", "dora@corp.com", external_id="17", also=(SHARED,), status=PersonStatus.REMOVED),
        person(world, "kim", "kim@corp.com", external_id="18", also=(SHARED,)),
        person(world, "00u7", "dora@corp.com", source=SCIM, external_id="x", also=(SHARED,)),
    )
    approval = asked_for(world)
    for erasing in (None, dora, other):
        if erasing is not None:
            erase(world, erasing)
        assert states(world, "00u7", "dora", "dora@corp.com", "kim") == [GONE, GONE, GONE, ACTIVE]
        assert "is gone" in refusal(world, approval, "00u7")
    left = kept(world, other).left
    assert left is not None and left.sources == ("file:csv",)


@pytest.mark.parametrize("source", [SCIM, f"{LOGIN}https://idp.example"])
def test_a_colleagues_return_lets_in_nobody_else_who_was_erased(world: World, source: str) -> None:
    own = (ISSUED, "00u7") if source != SCIM else ()
    dora, kim, other = tell(
        world,
        person(world, "dora", SHARED, external_id="17", also=(ISSUED,), status=PersonStatus.REMOVED),
        person(world, "kim", SHARED, external_id="18", status=PersonStatus.INACTIVE),
        person(world, "dora", SHARED, source=source, external_id="00u7", also=own),
    )
    erase(world, other, dora)
    moved(world, kim, PersonStatus.ACTIVE)
    assert states(world, "kim", "dora", ISSUED, *own) == [ACTIVE, *[GONE] * (2 + len(own))]
    tell(world, person(world, "dora", external_id="17"))
    assert states(world, "dora", ISSUED) == [ACTIVE, UNKNOWN], "their own does, of all records"
    assert not differences(world.store.log, world.store)


@pytest.mark.parametrize("source", [SCIM, f"{LOGIN}https://idp.example"])
def test_erasing_keeps_no_colleague_out_whom_the_source_that_says_so_tells_apart(world: World, source: str) -> None:
    _, _, other = tell(
        world,
        person(world, "dora", SHARED, external_id="17", also=(ISSUED,), status=PersonStatus.REMOVED),
        person(world, "kim", "00u7", external_id="18", also=(SHARED,)),
        person(world, "dora", source=source, external_id="x", also=(ISSUED, SHARED, "00u7")),
    )
    before = states(world, "dora", "kim", ISSUED, "00u7")
    assert before == [GONE, ACTIVE, GONE, ACTIVE]
    erase(world, other)
    assert states(world, "dora", "kim", ISSUED, "00u7") == before


@pytest.mark.parametrize("by", ["user", "id"])
def test_the_sources_that_said_so_let_them_in_again_each_for_itself(world: World, by: str) -> None:
    first, second = tell(
        world,
        person(world, "dora", external_id="17", status=PersonStatus.REMOVED),
        person(world, "dora", source=SCIM, external_id="x9", status=PersonStatus.INACTIVE),
    )
    erase(world, first, second)
    tell(world, person(world, "dora", source="file:other"), person(world, "eve", source=SCIM, external_id="17"))
    assert states(world, "dora") == [GONE], "nobody else does"
    again = {"user": ("Dora", "20"), "id": ("dora.quill", "17")}[by]
    tell(world, person(world, again[0], external_id=again[1]))
    assert states(world, "dora") == [GONE], "the other says so still"
    tell(world, person(world, "dora", source=SCIM, status=PersonStatus.INACTIVE))
    assert states(world, "dora") == [GONE]
    tell(world, person(world, "dora2", source=SCIM, external_id="x9"))
    [other] = [one for one in world.store.people_named("dora2") if one.source == SCIM]
    assert kept(world, first).left is None and kept(world, second).left is None, "and nothing is kept of them"
    said = [e.body for e in world.entries() if isinstance(e.body, PersonReadmitted)]
    assert {(one.person, one.source, one.whole) for one in said} == {
        (who.id, source, whole) for who in (first, second) for source, whole in (("file:csv", False), (SCIM, True))
    }
    assert other.status is PersonStatus.ACTIVE and not differences(world.store.log, world.store)


def test_an_operator_lets_them_in_again_for_all_and_once(world: World) -> None:
    [dora] = tell(world, person(world, "dora", status=PersonStatus.REMOVED))
    fails(world, dora, ErrorKind.CONFLICT)
    erase(world, dora)
    people.readmit(world.runtime, dora.id, ANA).result()
    assert states(world, "dora") == [UNKNOWN] and kept(world, dora).left is None
    assert world.entries()[-1].body == PersonReadmitted(dora.id, "", True, "ana", "os")
    fails(world, dora, ErrorKind.CONFLICT)
    fails(world, replace(dora, id="per_0"), ErrorKind.NOT_FOUND)
    assert not differences(world.store.log, world.store)


def test_what_they_approved_or_opened_does_not_count_again(world: World) -> None:
    carl, dora = tell(world, person(world, "carl"), person(world, "dora"))
    session = world.open_session()
    denied = world.ask(session, "wipe", {"table": "t"})
    assert isinstance(denied, Deny) and denied.approval is not None
    resolve(world.runtime, ApprovalId(denied.approval), Operator("Carl", "idp"), True).result()
    asking = break_glass.EmergencyRequest("it is stuck", "INC-7", agent="bot", tools=("wipe",))
    glass = break_glass.ask(world.runtime, asking, Operator("dora", "os")).result()
    break_glass.confirm(world.runtime, glass.id, Operator("max", "os")).result()
    erase(world, moved(world, carl, PersonStatus.REMOVED), moved(world, dora, PersonStatus.REMOVED))
    assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny)


def test_without_the_key_nobody_is_told_from_who_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [dora] = tell(world, person(world, "dora", status=PersonStatus.REMOVED))
    erase(world, dora)
    session, approval, secret = world.open_session(), asked_for(world, "pay"), world.store.secret
    monkeypatch.setattr(world.store, "secret", lambda task: None if task == TASK_FREE else secret(task))
    with pytest.raises(RemitError) as caught:
        resolve(world.runtime, approval, Operator("dora", "idp"), True).result()
    assert caught.value.kind is ErrorKind.CORRUPT
    world.register("another")  # whatever was known of people is asked for anew
    assert reason(world.ask(session, "look")) is Reason.INTERNAL_ERROR


def test_a_backup_has_it_and_a_restore_keeps_it(
    world: World, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    [dora] = tell(world, person(world, "dora", status=PersonStatus.REMOVED))
    erase(world, dora)
    made(world, tmp_path / "backup")
    monkeypatch.setenv("REMIT_STORE", "")
    put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    back = World(tmp_path / "home", clock)
    assert states(back, "dora", "nobody") == [GONE, UNKNOWN]
    tell(back, person(back, "dora"))
    assert states(back, "dora") == [ACTIVE]
    back.close()


def test_of_whom_nobody_knows_whether_they_are_gone_nothing_is_forgotten(world: World) -> None:
    """As after a restore; their login's names neither, by which they would come again."""
    own = ("https://idp.example#00u7", "00u7")
    dora, login = tell(
        world,
        person(world, "dora", seen=0),
        person(world, "dora", source=f"{LOGIN}https://idp.example", external_id="00u7", also=own),
    )
    for one in (dora, login):
        with pytest.raises(RemitError, match="say it first") as caught:
            erase(world, one)
        assert caught.value.kind is ErrorKind.CONFLICT
    assert "nobody has said" in refusal(world, asked_for(world), "00u7")
    people.confirm_people(world.runtime, "file:csv", ANA).result()
    erase(world, login, dora)
    assert states(world, "dora", *own) == [UNKNOWN] * 3


def test_what_says_that_somebody_is_gone_hides_nobody_who_waits_to_be_confirmed(world: World) -> None:
    _, other = tell(
        world,
        person(world, "dora", "dora@corp.com", status=PersonStatus.REMOVED),
        person(world, "00u7", "dora@corp.com", source=SCIM, seen=0),
    )
    assert states(world, "00u7") == [GONE]
    with pytest.raises(RemitError, match="say it first") as caught:
        erase(world, other)
    assert caught.value.kind is ErrorKind.CONFLICT
    people.confirm_people(world.runtime, "", ANA).result()
    erase(world, other)


def test_nobody_is_erased_who_could_approve_the_same_again(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(policies=OWNED.replace("four-eyes", "two")))
    [carl] = tell(world, person(world, "carl", "carl@corp.com"))
    session = world.open_session()
    approval = asked_for(world, session=session)
    resolve(world.runtime, approval, Operator("carl", "os"), True).result()
    in_use(world, carl, approval)
    resolve(world.runtime, approval, Operator("max", "os"), True).result()
    in_use(world, carl, approval)
    permit(world.ask(session, "wipe", {"table": "t"}))
    again = asked_for(world, session=session)
    resolve(world.runtime, again, Operator("carl", "os"), True).result()
    in_use(world, carl, again)
    world.runtime.clock.forward(3600)  # type: ignore[attr-defined]
    erase(world, carl)
    assert kept(world, carl).left is None


def test_nobody_is_erased_who_could_confirm_their_own_break_glass(world: World) -> None:
    [carl] = tell(world, person(world, "carl", "carl@corp.com"))
    asking = break_glass.EmergencyRequest("it is stuck", "INC-7", agent="bot", tools=("wipe",))
    glass = break_glass.ask(world.runtime, asking, Operator("CARL@corp.com", "os")).result()
    in_use(world, carl, glass.id)
    break_glass.confirm(world.runtime, glass.id, Operator("max", "os")).result()
    in_use(world, carl, glass.id)
    break_glass.end(world.runtime, glass.id, ANA).result()
    erase(world, carl)
    assert kept(world, carl).status is PersonStatus.ERASED


def in_use(world: World, who: Person, what: str) -> None:
    with pytest.raises(RemitError, match=what) as caught:
        erase(world, who)
    assert caught.value.kind is ErrorKind.CONFLICT


def test_nobody_lets_themselves_in_or_confirms_while_they_are_gone_or_wait(world: World) -> None:
    dora, _, _ = tell(
        world,
        person(world, "dora", status=PersonStatus.REMOVED),
        person(world, "max", status=PersonStatus.INACTIVE),
        person(world, "kim", seen=0),
    )
    for who, words in (("max", "is gone"), ("kim", "nobody has said")):
        with pytest.raises(RemitError, match=words) as caught:
            people.confirm_people(world.runtime, "", Operator(who, "os")).result()
        assert caught.value.kind is ErrorKind.REFUSED
    erase(world, dora)
    for who, words in (("Dora", "is gone"), ("max", "is gone"), ("kim", "nobody has said")):
        with pytest.raises(RemitError, match=words) as caught:
            people.readmit(world.runtime, dora.id, Operator(who, "os")).result()
        assert caught.value.kind is ErrorKind.REFUSED
    assert states(world, "dora") == [GONE]
    people.confirm_people(world.runtime, "", ANA).result()
    people.readmit(world.runtime, dora.id, ANA).result()


@pytest.mark.sqlite
def test_at_the_command_line(guarded: World, tmp_path: Path) -> None:
    [dora] = tell(guarded, person(guarded, "dora", status=PersonStatus.REMOVED))
    ok("people", "erase", dora.id)
    assert "erased, and gone" in ok("people", "list", "--gone")
    told = ok("people", "show", "Dora")
    assert "gone since" in told and f"remit people readmit {dora.id}" in told
    shown = json.loads(ok("people", "show", "dora", "--json"))
    assert shown["erased"][0]["left"] == {"sources": ["file:csv"], "since": dora.since, "marks": [], "records": []}
    assert "name:" not in ok("people", "list", "--json")
    (tmp_path / "back.csv").write_text("id,user_name\n1,dora\n")
    ok("people", "import", str(tmp_path / "back.csv"), "--part")
    assert "dora: active" in ok("people", "show", "dora")
    assert error("people", "readmit", dora.id).kind is ErrorKind.CONFLICT
