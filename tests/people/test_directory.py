"""Who is who: names that directories join, and what follows for whoever owns, asks and approves. On every store."""

from typing import Any

import pytest
from msgspec.structs import replace

from remit.decision_log.encoding import decode
from remit.decision_log.entry import AgentChanged, PersonChanged, PersonErased
from remit.inventory.directory import MAX_LINKED
from remit.inventory.people import one_email, with_status
from remit.model.authorizer import ApprovalState
from remit.model.decision import Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, Operator, TaskId, new_id
from remit.model.person import LOGIN, OwnerState, Person, PersonId, PersonStatus
from remit.model.task import Session
from remit.runtime import people
from remit.runtime.administration import change_agent
from remit.runtime.approving.answering import resolve
from remit.runtime.audit import differences
from remit.runtime.emergency import break_glass
from remit.runtime.tasks import Opening, open_task
from tests.conftest import OpenStore
from tests.runtime.world import ANA, NOON, World, permit, reason, small_bundle

IN_THE_FILE = "file:csv"
OWNED = """
@id("any-tool") permit (principal, action == Action::"tool.call", resource);
@id("owner-gone") forbid (principal, action, resource) when { context.ownerState == "gone" };
@id("wipe-asks") @requestable("four-eyes")
forbid (principal, action == Action::"tool.call", resource == Tool::"wipe") unless { context.approval.granted };
"""


def person(world: World, user: str, email: str = "", **more: object) -> Person:
    """Somebody new, of the file unless said otherwise."""
    now = world.runtime.clock()
    known = Person(PersonId(new_id("per", now)), IN_THE_FILE, user, emails=one_email(email), since=now, seen=now)
    return replace(known, **more)


def tell(world: World, *said: Person) -> tuple[Person, ...]:
    people.change_people(world.runtime, lambda: people.PeopleUpdate(said), ANA).result()
    return said


def moved(world: World, known: Person, status: PersonStatus) -> Person:
    [after] = tell(world, with_status(known, status, world.runtime.clock()))
    return after


def asked_for(world: World, tool: str = "wipe", session: Session | None = None) -> ApprovalId:
    """An access request of the agent that ben owns, in a task that ana opened."""
    denied = world.ask(session or world.open_session(), tool, {"table": "t"})
    assert isinstance(denied, Deny) and denied.approval is not None, denied
    return denied.approval


def refusal(world: World, approval: ApprovalId, who: str) -> str:
    with pytest.raises(RemitError) as caught:
        resolve(world.runtime, approval, Operator(who, "idp"), True).result()
    assert caught.value.kind is ErrorKind.REFUSED
    return caught.value.message


def standing(world: World, name: str) -> tuple[OwnerState, int]:
    with world.runtime.view.lock:
        world.runtime.view.refresh()
        found = world.runtime.view.directory.known_as(name).standing
    return found.state, found.since


class TestFourEyes:
    def test_two_names_of_one_person_are_one(self, world: World) -> None:
        before = asked_for(world)
        tell(world, person(world, "ben", "Ben.Ode@corp.com", also=("https://idp.example#00u7",)))
        for name in ("ben.ode@corp.com", "BEN", "https://idp.example#00u7", "https://IDP.example#00U7"):
            assert "four eyes" in refusal(world, before, name)
        resolve(world.runtime, before, Operator("carl", "idp"), True).result()

    def test_one_address_is_one_however_its_characters_are_written(self, world: World) -> None:
        tell(world, person(world, "ben", "jos\u00e9@corp.com"), person(world, "00u9", "JOSE\u0301@corp.com", source="scim:okta"))
        assert "four eyes" in refusal(world, asked_for(world), "00u9")

    def test_names_join_across_sources_however_long_the_chain(self, world: World) -> None:
        scim, login = "scim:okta", f"{LOGIN}https://idp.example"
        tell(
            world,
            person(world, "ben", "ben@corp.com"),
            person(world, "ben@corp.com", source=scim, external_id="00u7"),
            person(world, "00u7", source=login, also=("https://idp.example#00u7",)),
        )
        assert "four eyes" in refusal(world, asked_for(world), "00u7")

    def test_what_two_sources_call_two_people_joins_nobody(self, world: World) -> None:
        tell(world, person(world, "ben", external_id="17"), person(world, "carl", source="scim:okta", external_id="17"))
        approval = asked_for(world)
        resolve(world.runtime, approval, Operator("carl", "idp"), True).result()
        assert "four eyes" in refusal(world, asked_for(world), "17"), "whoever calls themselves that can be either"

    def test_who_cannot_be_told_from_others_approves_nothing(self, world: World) -> None:
        shared = "all@corp.com"
        tell(world, *[person(world, f"user{number}", shared) for number in range(MAX_LINKED + 1)])
        assert "too many people" in refusal(world, asked_for(world), "user3")
        resolve(world.runtime, asked_for(world), Operator("carl", "idp"), True).result()

    def test_two_approvals_by_one_person_are_one(self, open_store: OpenStore) -> None:
        world = open_store(bundle=small_bundle(policies=OWNED.replace("four-eyes", "two")))
        tell(world, person(world, "carl", "carl@corp.com"))
        approval = asked_for(world)
        resolve(world.runtime, approval, Operator("carl", "os"), True).result()
        with pytest.raises(RemitError, match="has approved .* already"):
            resolve(world.runtime, approval, Operator("Carl@corp.com", "idp"), True).result()
        [known] = [one for one in world.store.approvals(None, 9) if one.id == approval]
        assert known.state is ApprovalState.PENDING
        resolve(world.runtime, approval, Operator("dora", "os"), True).result()

    def test_one_person_does_not_break_the_glass_as_two(self, world: World) -> None:
        tell(world, person(world, "carl", "carl@corp.com"), moved_later := person(world, "dora"))
        asking = break_glass.EmergencyRequest("it is stuck", "INC-7", agent="bot", tools=("wipe",))
        glass = break_glass.ask(world.runtime, asking, Operator("carl", "os")).result()
        for name, words in (("carl@corp.com", "somebody else must"), ("CARL", "somebody else must")):
            with pytest.raises(RemitError, match=words):
                break_glass.confirm(world.runtime, glass.id, Operator(name, "os")).result()
        break_glass.confirm(world.runtime, glass.id, Operator("dora", "os")).result()
        session = world.open_session()
        assert permit(world.ask(session, "wipe", {"table": "t"})).reason is Reason.BREAK_GLASS
        moved(world, moved_later, PersonStatus.INACTIVE)
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny), "who has gone holds nothing open"
        with pytest.raises(RemitError, match="is gone"):
            break_glass.ask(world.runtime, asking, Operator("dora", "os")).result()

    def test_what_the_directory_learns_after_an_approval_counts_when_it_is_used(self, open_store: OpenStore) -> None:
        world = open_store(bundle=small_bundle(policies=OWNED.replace("four-eyes", "two")))
        session = world.open_session()
        approval = asked_for(world, session=session)
        for name, by in (("carl", "os"), ("carl@corp.com", "idp")):
            resolve(world.runtime, approval, Operator(name, by), True).result()
        tell(world, person(world, "carl", "carl@corp.com"))
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny), "the two were one"

    @pytest.mark.parametrize("how", ["name", "owner"])
    def test_an_owner_who_comes_to_light_has_approved_nothing(self, world: World, how: str) -> None:
        session = world.open_session()
        approval = asked_for(world, session=session)
        resolve(world.runtime, approval, Operator("ben@corp.com", "idp"), True).result()
        if how == "name":
            tell(world, person(world, "ben", "ben@corp.com"))
        else:
            owned = lambda known: replace(known, owner="ben@corp.com", version=known.version + 1)  # noqa: E731
            change_agent(world.runtime, "bot", owned, ANA).result()
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny)

    @pytest.mark.parametrize("how", ["opener", "beneficiary", "owner", "one"])
    def test_one_of_the_two_who_comes_to_light_holds_no_glass_open(self, world: World, how: str) -> None:
        asking = break_glass.EmergencyRequest("it is stuck", "INC-7", agent="bot", tools=("wipe",))
        session = world.open_session()
        glass = break_glass.ask(world.runtime, asking, ANA).result()
        break_glass.confirm(world.runtime, glass.id, Operator("carl", "os")).result()
        given = permit(world.ask(session, "wipe", {"table": "t"}))
        tell(world, person(world, "carl", "carl@corp.com"))
        match how:
            case "opener":
                own = open_task(world.runtime, Opening(agent="bot", purpose="mine"), Operator("carl@corp.com", "idp")).result()
                session = world.open_session(own)
            case "beneficiary":
                session = world.open_session(world.open_task(on_behalf_of="carl@corp.com"))
            case "owner":
                owned = lambda known: replace(known, owner="carl@corp.com", version=known.version + 1)  # noqa: E731
                change_agent(world.runtime, "bot", owned, ANA).result()
                assert not world.embedded.may_act(given.id), "nor is what was permitted before done now"
            case _:
                tell(world, person(world, "ana", also=("carl",)))
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny)

    def test_whoever_asked_for_it_is_known_by_every_name(self, world: World) -> None:
        """Of an action that one person may approve, only whoever submitted the request may not."""
        from remit.runtime.approving.requesting import Submission, submit

        tell(world, person(world, "dora", "dora@corp.com"))
        approval = asked_for(world, "pay")
        submit(world.runtime, approval, Submission("dora@corp.com", "idp")).result()
        assert "asked for this" in refusal(world, approval, "Dora")


class TestGone:
    def test_another_process_says_so_while_it_is_answered(self, open_store: OpenStore) -> None:
        world, beside = open_store(), open_store(again=True)
        [carl] = tell(beside, person(beside, "carl"))
        approval = asked_for(world)
        submitted = world.runtime.appender.submit
        told: list[Person] = []

        def racing(ticket: Any) -> Any:
            if not told:
                told.append(moved(beside, carl, PersonStatus.INACTIVE))
            return submitted(ticket)

        world.runtime.appender.submit = racing  # type: ignore[method-assign]
        assert "is gone" in refusal(world, approval, "carl")
        found = world.store.approval(approval)
        assert found is not None and found.state is ApprovalState.PENDING

    def test_who_is_gone_approves_nothing(self, world: World, clock: object) -> None:
        [carl] = tell(world, person(world, "carl", "carl@corp.com"))
        approval = asked_for(world)
        moved(world, carl, PersonStatus.INACTIVE)
        for name in ("carl", "carl@corp.com"):
            assert "is gone, as the directory says since 2027-01-15" in refusal(world, approval, name)
        resolve(world.runtime, approval, Operator("carl", "idp"), False).result()

    def test_what_they_approved_before_is_used_no_more(self, world: World) -> None:
        [carl] = tell(world, person(world, "carl"))
        session = world.open_session()
        denied = world.ask(session, "wipe", {"table": "t"})
        assert isinstance(denied, Deny) and denied.approval is not None
        resolve(world.runtime, denied.approval, Operator("carl", "idp"), True).result()
        moved(world, carl, PersonStatus.REMOVED)
        again = world.ask(session, "wipe", {"table": "t"})
        assert isinstance(again, Deny) and again.approval not in (None, denied.approval), "it is asked for anew"
        resolve(world.runtime, ApprovalId(str(again.approval)), Operator("dora", "idp"), True).result()
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Permit)

    @pytest.mark.parametrize("known_by", ["identity", "claim"])
    def test_nor_once_another_directory_has_somebody_by_that_name(self, world: World, known_by: str) -> None:
        identity, mail = "https://idp.example#00u7", "dora@corp.com"
        tell(world, person(world, mail, source=f"{LOGIN}https://idp.example", external_id="00u7", also=(identity, "00u7")))
        session = world.open_session()
        denied = world.ask(session, "wipe", {"table": "t"})
        assert isinstance(denied, Deny) and denied.approval is not None
        resolve(world.runtime, denied.approval, Operator("00u7", "https://idp.example"), True).result()
        also = (identity if known_by == "identity" else mail,)
        tell(world, person(world, "dora", also=also, status=PersonStatus.REMOVED))
        tell(world, person(world, "00u7", "other@corp.com", source="scim:okta", external_id="z"))
        assert isinstance(world.ask(session, "wipe", {"table": "t"}), Deny)
        assert standing(world, "other@corp.com")[0] is OwnerState.ACTIVE, "by no other name is that one gone"

    def test_policies_read_whether_the_owner_is_gone(self, open_store: OpenStore) -> None:
        world = open_store(bundle=small_bundle(policies=OWNED))
        session = world.open_session()
        permit(world.ask(session, "look"))  # nobody ever told of ben: nothing follows
        [ben] = tell(world, person(world, "ben"))
        permit(world.ask(session, "look"))
        gone = moved(world, ben, PersonStatus.REMOVED)
        assert reason(world.ask(session, "look")) is Reason.FORBIDDEN
        moved(world, gone, PersonStatus.ACTIVE)
        permit(world.ask(session, "look"))
        assert [made.owner for made in world.decisions()] == ["", "active", "gone", "active"]

    def test_of_several_owners_the_worst_counts(self, open_store: OpenStore) -> None:
        """What was delegated by an agent whose owner is gone is no better owned than that."""
        from remit.inventory.agents import registered
        from remit.runtime import administration, sessions, tasks
        from remit.runtime.tasks import AgentOpener, Opening

        world = open_store(bundle=small_bundle(policies=OWNED))
        administration.change_agent(world.runtime, "sub", lambda a: registered(a, "sub", "carl", "helps", ()), ANA).result()
        above = world.open_session()
        opening = Opening(agent="sub", purpose="look", parent=above.task)
        below = tasks.open_task(world.runtime, opening, AgentOpener(above.agent, above.id)).result()
        session = sessions.open_session(world.runtime, below.id).result()
        [ben, _] = tell(world, person(world, "ben"), person(world, "carl"))
        permit(world.ask(session, "look"))
        moved(world, ben, PersonStatus.INACTIVE)
        assert reason(world.ask(session, "look")) is Reason.FORBIDDEN

    def test_one_source_that_has_them_no_more_is_enough(self, world: World) -> None:
        first, second = tell(world, person(world, "ben"), person(world, "ben", source="scim:okta"))
        assert standing(world, "ben") == (OwnerState.ACTIVE, 0)
        world.runtime.clock.forward(60)  # type: ignore[attr-defined]
        moved(world, second, PersonStatus.INACTIVE)
        left = world.runtime.clock()
        assert standing(world, "ben") == (OwnerState.GONE, left)
        world.runtime.clock.forward(60)  # type: ignore[attr-defined]
        moved(world, first, PersonStatus.REMOVED)
        assert standing(world, "ben") == (OwnerState.GONE, left), "since the first said so"

    def test_gone_another_way_is_no_later(self, world: World) -> None:
        [ben] = tell(world, person(world, "ben"))
        for status, gone in (
            (PersonStatus.INACTIVE, 60),
            (PersonStatus.REMOVED, 60),
            (PersonStatus.ACTIVE, 0),
            (PersonStatus.REMOVED, 240),
        ):
            world.runtime.clock.forward(60)  # type: ignore[attr-defined]
            ben = moved(world, ben, status)
            expected = (OwnerState.GONE, NOON + gone * 1_000_000) if gone else (OwnerState.ACTIVE, 0)
            assert standing(world, "ben") == expected, status
        assert [entry.body.since - NOON for entry in world.entries() if isinstance(entry.body, PersonChanged)] == [
            seconds * 1_000_000 for seconds in (0, 60, 60, 180, 240)
        ]

    def test_who_came_back_is_there(self, world: World) -> None:
        [old] = tell(world, person(world, "ben", "ben@corp.com"))
        moved(world, old, PersonStatus.REMOVED)
        tell(world, person(world, "ben", "ben@corp.com"))
        assert standing(world, "ben@corp.com")[0] is OwnerState.ACTIVE

    def test_a_colleague_who_shares_a_name_makes_nobody_there_again(self, world: World) -> None:
        shared = "team@corp.com"
        ben, _ = tell(world, person(world, "ben", shared, external_id="1"), person(world, "kim", shared, external_id="2"))
        moved(world, ben, PersonStatus.INACTIVE)
        tell(world, person(world, "eve", also=("ben",)))
        assert [standing(world, name)[0] for name in ("ben", shared, "1")] == [OwnerState.GONE] * 3
        assert [standing(world, name)[0] for name in ("kim", "eve")] == [OwnerState.ACTIVE] * 2, "their source tells them apart"
        tell(world, person(world, "benjamin", external_id="1"))
        assert standing(world, "ben")[0] is OwnerState.ACTIVE, "it says that they came back"

    def test_a_login_takes_it_from_nobody_to_another(self, world: World) -> None:
        login, kim = f"{LOGIN}https://idp.example", person(world, "kim")
        left = person(world, "olduser", "olduser@corp.com", source="file:leavers", status=PersonStatus.INACTIVE)
        own = ("https://idp.example#mallory", "mallory")
        tell(world, kim, left, person(world, "kim", "olduser@corp.com", source=login, external_id="mallory", also=own))
        assert standing(world, "kim")[0] is OwnerState.ACTIVE
        assert [standing(world, name)[0] for name in ("olduser", *own)] == [OwnerState.GONE] * 3, "of its holder it says so"
        moved(world, kim, PersonStatus.INACTIVE)
        assert standing(world, "kim")[0] is OwnerState.GONE

    def test_a_login_says_of_nobody_that_they_are_there(self, world: World) -> None:
        tell(world, person(world, "ben", source=f"{LOGIN}https://idp.example"))
        assert standing(world, "ben")[0] is OwnerState.UNKNOWN


class TestOnRecord:
    def test_no_name_stands_in_the_log_and_what_is_sealed_is_erased(self, world: World) -> None:
        [dora] = tell(
            world, person(world, "dora.quill", "dora@quill.example", name="Dora Quill", manager="max.boss", groups=("red",))
        )
        moved(world, dora, PersonStatus.INACTIVE)
        assert "dora.quill" in sealed_of(world, dora.id)
        people.erase_person(world.runtime, dora.id, ANA).result()
        left = world.store.person(dora.id)
        assert left is not None and (left.status, left.user_name, left.names) == (PersonStatus.ERASED, "", frozenset())
        assert world.store.secret(TaskId(dora.id)) is None and standing(world, "dora.quill")[0] is OwnerState.GONE
        kinds = [type(entry.body) for entry in world.entries() if isinstance(entry.body, PersonChanged | PersonErased)]
        assert kinds == [PersonChanged, PersonChanged, PersonErased]
        for line in world.store.log.lines():
            assert not any(word in line.lower() for word in (b"dora.quill", b"@quill.example", b"max.boss", b"dora quill"))
        people.erase_person(world.runtime, dora.id, ANA).result()  # once more, as after remains in the write-ahead log
        with pytest.raises(RemitError, match="erased"):
            tell(world, with_status(replace(dora, version=3), PersonStatus.ACTIVE, 1))
        world.verified()
        assert not differences(world.store.log, world.store)

    @pytest.mark.sqlite
    def test_nothing_is_left_in_the_files(self, world: World) -> None:
        [dora] = tell(world, person(world, "dora.quill", "dora@quill.example"))
        moved(world, dora, PersonStatus.REMOVED)
        assert b"dora.quill" in files_of(world)
        people.erase_person(world.runtime, dora.id, ANA).result()
        assert b"quill" not in files_of(world)

    @pytest.mark.sqlite
    def test_a_record_that_was_changed_by_hand_is_noticed(self, world: World) -> None:
        [dora] = tell(world, person(world, "dora"))
        world.store.groups._database.writer.execute("DELETE FROM people")  # type: ignore[attr-defined]
        world.tampered = True
        assert [str(one) for one in differences(world.store.log, world.store)] == [
            f"person `{dora.id}`: nothing in the store, active, version 1 by the log"
        ]


def sealed_of(world: World, who: PersonId) -> str:
    from remit.decision_log.sealing import SealKey

    secret = world.store.secret(TaskId(who))
    assert secret is not None
    changed = [decode(index, line).body for index, line in enumerate(world.store.log.lines())]
    bodies = [body for body in changed if isinstance(body, PersonChanged) and body.person == who]
    assert not any(isinstance(body, AgentChanged) and body.owner == who for body in changed)
    return SealKey(secret).open(bodies[-1].sealed, who).decode()


def files_of(world: World) -> bytes:
    return b"".join(file.read_bytes() for file in world.home.iterdir() if file.name.startswith("remit.db"))


class TestManagers:
    def test_are_found_by_any_name_in_their_own_source(self, world: World) -> None:
        boss = person(world, "max", "max@corp.com", external_id="1")
        tell(world, boss, person(world, "ben", manager="MAX@corp.com"), person(world, "carl", manager=boss.id))
        with world.runtime.view.lock:
            world.runtime.view.refresh()
            directory = world.runtime.view.directory
            assert [one.user_name for name in ("ben", "carl") if (one := directory.manager_of(name))] == ["max", "max"]
            assert directory.manager_of("max") is None and directory.manager_of("nobody") is None

    def test_are_known_of_who_has_left_which_is_when_they_are_looked_for(self, world: World) -> None:
        tell(world, person(world, "max"), person(world, "eve"))
        tell(world, person(world, "ben", manager="max", status=PersonStatus.REMOVED))
        tell(world, person(world, "ben", source="scim:okta"))
        with world.runtime.view.lock:
            world.runtime.view.refresh()
            manager = world.runtime.view.directory.manager_of("ben")
        assert manager is not None and manager.user_name == "max"

    def test_are_nobody_where_sources_differ(self, world: World) -> None:
        scim = "scim:okta"
        tell(world, person(world, "max"), person(world, "ben", manager="max"))
        tell(world, person(world, "eve", source=scim), person(world, "ben", source=scim, manager="eve"))
        with world.runtime.view.lock:
            world.runtime.view.refresh()
            assert world.runtime.view.directory.manager_of("ben") is None


@pytest.mark.parametrize("how", ["said by their source", "confirmed"])
@pytest.mark.parametrize("beside", [False, True], ids=["here", "in another process"])
def test_who_was_confirmed_counts_at_the_next_decision(open_store: OpenStore, how: str, beside: bool) -> None:
    """What decided before has read the directory already, in which nobody could say whether the owner is there."""
    unsure = '@id("unsure") forbid (principal, action, resource) when { context.ownerState == "unknown" };'
    world = open_store(bundle=small_bundle(policies=OWNED + unsure))
    [ben] = tell(world, person(world, "ben", seen=0))
    session = world.open_session()
    assert reason(world.ask(session, "look")) is Reason.FORBIDDEN
    says = open_store(again=True) if beside else world
    if how == "confirmed":
        assert people.confirm_people(says.runtime, "", ANA).result() == 1
    else:
        people.change_people(says.runtime, lambda: people.PeopleUpdate((), (ben.id,)), ANA).result()
    permit(world.ask(session, "look"))
