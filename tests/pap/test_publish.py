"""Only what passes every check and case is published; what is active changes by compare and set, and can be undone."""

import pytest

from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import Operator
from remit.pap.bundle import from_document
from remit.pap.contents import Bundle
from remit.pap.diff import Change, Difference, diff
from remit.pap.publish import NotPublished, Publication, publish, rollback
from remit.pap.store import Activation, BundleStore
from tests.pap.bundles import SMALL, small

ANA = Operator("ana", "os")
SHADOW = "name: small\nmode: shadow\n"


class Store:
    """A store in memory that activates what it is given, if what that was decided on still holds."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.history: list[Activation] = []

    def active_bundle(self) -> tuple[str, bytes] | None:
        return (self.history[0][0], self.documents[self.history[0][0]]) if self.history else None

    def document(self, digest: str) -> bytes | None:
        return self.documents.get(digest)

    def activations(self) -> list[Activation]:
        return self.history

    def activate(self, publication: Publication) -> str:
        """Commit a publication."""
        assert publication.previous == (self.history[0][0] if self.history else "")
        self.documents[publication.digest] = publication.document
        activation = (publication.digest, publication.previous, publication.time, publication.operator)
        self.history.insert(0, activation)
        return publication.digest


@pytest.fixture
def store() -> Store:
    return Store()


def kind(store: BundleStore, bundle: Bundle, shadow: bool = False) -> ErrorKind:
    """Why a bundle is not published."""
    with pytest.raises(RemitError) as caught:
        publish(bundle, store, 5, ANA, shadow)
    return caught.value.kind


def test_a_bundle_is_published_with_what_it_replaces(store: Store) -> None:
    first = publish(small(), store, 5, ANA)
    assert (first.name, first.previous, first.operator, first.time, first.rollback) == ("small", "", ANA, 5, False)
    assert from_document(first.document) == small()
    store.activate(first)
    other = small(cases="- {name: x, agent: {id: a}, steps: [{call: send, expect: deny}]}", tools="- name: send")
    second = publish(other, store, 6, ANA)
    assert (second.previous, second.cases) == (first.digest, 1)
    assert [problem.code for problem in second.warnings] == ["unannotated"]


def test_errors_are_not_published(store: Store) -> None:
    wrong = small(policies='@id("p") forbid (principal, action, resource) when { context.args.to == "x" };')
    with pytest.raises(NotPublished) as caught:
        publish(wrong, store, 5, ANA)
    assert caught.value.kind is ErrorKind.REFUSED
    assert caught.value.problems and not caught.value.failed
    assert "policies/more.cedar:1: error: policy `p` reads `context.args.to`" in caught.value.message


def test_failing_cases_are_not_published(store: Store) -> None:
    wrong = small(cases="- name: x\n  agent: {id: a}\n  steps:\n  - {call: send, expect: permit}\n")
    with pytest.raises(NotPublished) as caught:
        publish(wrong, store, 5, ANA)
    assert [result.case.name for result in caught.value.failed] == ["x"]
    assert "cases/some.yaml:4: `tool.call` on `send`: expected decision `permit`, got `deny`" in caught.value.message


def test_shadow_mode_is_asked_for(store: Store) -> None:
    assert kind(store, small(manifest=SHADOW)) is ErrorKind.REFUSED
    published = publish(small(manifest=SHADOW), store, 5, ANA, shadow=True)
    assert published.mode == "shadow"
    assert [problem.code for problem in published.warnings] == ["shadow"]


def test_what_is_active_is_not_published_again(store: Store) -> None:
    store.activate(publish(small(), store, 5, ANA))
    assert kind(store, small()) is ErrorKind.CONFLICT


def test_rolling_back(store: Store) -> None:
    with pytest.raises(RemitError) as caught:
        rollback(store, 5, ANA)
    assert caught.value.kind is ErrorKind.NOT_FOUND
    first = store.activate(publish(small(), store, 5, ANA))
    with pytest.raises(RemitError) as caught:
        rollback(store, 6, ANA)
    assert caught.value.kind is ErrorKind.NOT_FOUND
    second = store.activate(publish(small(manifest="name: second"), store, 7, ANA))
    third = store.activate(publish(small(manifest="name: third"), store, 8, ANA))
    back = rollback(store, 9, ANA)
    assert (back.digest, back.previous, back.name, back.rollback) == (second, third, "second", True)
    store.activate(back)
    assert rollback(store, 10, ANA).digest == third
    assert rollback(store, 10, ANA, to=first).digest == first
    for wrong, expected in ((second, ErrorKind.CONFLICT), ("0" * 64, ErrorKind.NOT_FOUND)):
        with pytest.raises(RemitError) as caught:
            rollback(store, 10, ANA, to=wrong)
        assert caught.value.kind is expected


def test_rolling_back_to_shadow_mode_is_asked_for(store: Store) -> None:
    shadow = store.activate(publish(small(manifest=SHADOW), store, 5, ANA, shadow=True))
    store.activate(publish(small(), store, 6, ANA))
    with pytest.raises(RemitError) as caught:
        rollback(store, 7, ANA)
    assert caught.value.kind is ErrorKind.REFUSED
    assert rollback(store, 7, ANA, shadow=True).digest == shadow


def test_a_stored_bundle_that_is_another_is_not_activated(store: Store) -> None:
    first = store.activate(publish(small(), store, 5, ANA))
    second = store.activate(publish(small(manifest="name: second"), store, 6, ANA))
    store.documents[first] = store.documents[second]
    with pytest.raises(RemitError) as caught:
        rollback(store, 7, ANA)
    assert caught.value.kind is ErrorKind.CORRUPT


def test_what_changes_between_two_bundles() -> None:
    before = small(
        policies='@id("old") permit (principal, action, resource); @id("same") permit (principal, action, resource);',
        task_types="- {name: t}\n- {name: gone}\n",
    )
    after = small(
        manifest="name: small\nmode: shadow\n",
        policies='\n\n@id("same") permit (principal, action, resource); @id("new") permit (principal, action, resource);',
        task_types="- {name: t, seconds: 5}\n",
        tools=SMALL["tools.yaml"].replace("effect: send", "effect: spend"),
        resources="- {type: File, pattern: /a}",
        entities="- {type: Group, id: g}",
        schema="entity Ledger;",
    )
    assert set(diff(before, after)) == {
        Difference("setting", "mode", Change.CHANGED),
        Difference("policy", "old", Change.REMOVED),
        Difference("policy", "new", Change.ADDED),
        Difference("tool", "send", Change.CHANGED, ("annotations",)),
        Difference("task type", "gone", Change.REMOVED),
        Difference("task type", "t", Change.CHANGED, ("seconds",)),
        Difference("resource", "File /a", Change.ADDED),
        Difference("entity", 'Group::"g"', Change.ADDED),
        Difference("schema", "schema", Change.ADDED),
    }
    assert diff(before, before) == ()
