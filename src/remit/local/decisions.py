"""Decisions on record, as people and programs are told of them: with what was sealed, what was answered, and what became of them."""

from typing import Any

import msgspec

from remit.decision_log.entry import ApprovalResolved, DecisionMade, Entry, OutcomeSeen
from remit.local.wiring import Embedded
from remit.model.errors import not_found
from remit.runtime.recorded import entry_of, opened_of


def find(embedded: Embedded, decision: str) -> Entry:
    """The entry of a decision. Raises `RemitError` (not-found)."""
    entry = entry_of(embedded.store.log, decision)
    if entry is not None:
        return entry
    raise not_found(f"there is no decision `{decision}`: see `remit decision list`")


def joined(embedded: Embedded, entry: Entry) -> dict[str, Any]:
    """A decision with its sealed part, its approval and its outcome, in plain values. Reads the store: not on an event loop."""
    body = entry.body
    assert isinstance(body, DecisionMade)
    opened = opened_of(embedded.runtime, body).sealed
    row: dict[str, Any] = msgspec.to_builtins(body)
    del row["kind"], row["sealed"]
    row["message"] = opened.message if opened else "(erased)"
    row["errors"] = opened.errors if opened else None
    row["entities"] = opened.entities if opened else None
    row["values"] = msgspec.json.decode(opened.arguments) if opened else None
    row["read"] = msgspec.json.decode(opened.read) if opened else None
    row["steering"] = msgspec.to_builtins(opened.steering) if opened else None
    row["outcome"], row["answered_by"] = None, None
    for other in embedded.store.log.by_decision(body.id):
        if isinstance(other.body, OutcomeSeen):
            row["outcome"] = other.body.status
        elif isinstance(other.body, ApprovalResolved):
            row["answered_by"] = f"{other.body.operator or 'nobody'} ({other.body.state})"
    row["index"], row["writer"], row["seq"] = entry.index, entry.writer, entry.seq
    return row


def policy_texts(embedded: Embedded, entry: Entry) -> dict[str, str]:
    """The policies that decided, by id, of the bundle that was active then."""
    from remit.pap.bundle import from_document

    body = entry.body
    assert isinstance(body, DecisionMade)
    document = embedded.store.document(body.bundle)
    if document is None:
        return {}
    bundle = from_document(document)
    written = {policy.id: policy.text for policy in bundle.policies if policy.id in body.policies}
    rego = bundle.contents.rego is not None or bundle.contents.manifest.opa is not None
    asked = f"(in Rego, answered by {body.engine or 'this process'})"
    return {name: written.get(name, asked) for name in body.policies} if rego else written
