"""A store with a small bundle, entered by a task, as a developer would meet it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import remit
from remit.decision_log.entry import BundlePublished, DecisionMade, OutcomeSeen
from remit.inventory.agents import registered
from remit.local.entering import open_default
from remit.local.wiring import Embedded, create_store
from remit.model.identity import Operator
from remit.pap.bundle import to_document
from remit.pap.reading.folder import read_bundle
from remit.runtime.administration import activate_bundle, change_agent
from tests.conftest import StoreUrl

POLICIES = """
@id("work") permit (principal, action, resource) when { context has task };
@id("no-secrets") @description("secrets are not for agents")
forbid (principal, action, resource) when { context.args has name && context.args.name == "secret" };
@id("ask-first") @description("mail goes out only with a person's word") @requestable("one")
forbid (principal, action == Action::"tool.call", resource == Tool::"send") unless { context.approval.granted };
@id("no-temporary-files") forbid (principal, action in Action::"file", resource in Folder::"/forbidden");
@id("redacted") @obligation("redact-result:password")
permit (principal, action == Action::"tool.call", resource == Tool::"account");
@id("hurried") @obligation("deadline:0.05")
permit (principal, action == Action::"tool.call", resource == Tool::"slow");
@id("limited") @obligation("limit-result:10")
permit (principal, action == Action::"tool.call", resource == Tool::"long");
"""


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_url: StoreUrl) -> Iterator[Embedded]:
    """An open store with the bundle above and agent `bot`."""
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REMIT_TASK", raising=False)
    folder = tmp_path / "bundle"
    (folder / "policies").mkdir(parents=True)
    (folder / "bundle.yaml").write_text("name: small\n")
    (folder / "policies" / "all.cedar").write_text(POLICIES)
    bundle = read_bundle(folder)
    create_store(tmp_path / "home")
    opened = open_default()
    published = BundlePublished(bundle.digest, "small", "enforce", "", "ana", False)
    activate_bundle(opened.runtime, published, to_document(bundle)).result()
    change_agent(
        opened.runtime, "bot", lambda known: registered(known, "bot", "olga", "tests", ()), Operator("ana", "os")
    ).result()
    yield opened
    opened.close()


@pytest.fixture
def entered(embedded: Embedded) -> Iterator[Embedded]:
    """Within a task of `bot`."""
    with remit.task("write to the team about lunch", agent="bot"):
        yield embedded


def entries(embedded: Embedded) -> list[tuple[str, str]]:
    """Effect and reason of each decision, status of each outcome, in order."""
    found = []
    for line in embedded.store.log.lines():
        from remit.decision_log.encoding import decode

        body = decode(0, line).body
        if isinstance(body, DecisionMade):
            found.append((body.effect, body.reason))
        elif isinstance(body, OutcomeSeen):
            found.append(("outcome", body.status))
    return found
