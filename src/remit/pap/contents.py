"""The nouns of policy administration: a bundle, its files, what they say, and the digest that names them."""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from remit.model.break_glass import BreakGlassRules
from remit.model.identity import BundleDigest, EntityRef
from remit.model.tool import Tool
from remit.pap.approving import ApprovalsEntry
from remit.pap.rates import RateEntry
from remit.pdp.cedar.policies import Policy
from remit.pdp.cedar.reads import Node
from remit.pdp.compiled import EntityDocument, FirstUse, Mode, ResourceClass, TaskType
from remit.pdp.facts.fact import Fact
from remit.pdp.outside import Opa

_DOMAIN = b"remit bundle 1\n"


class SourceFile(msgspec.Struct, frozen=True):
    """One file of a bundle: its path in the folder, with `/`, and its text with `\\n` line ends."""

    path: str
    text: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`bundle.yaml`: the bundle's name, and what holds for all of it.

    `task_free` are `action` or `action resource-id` patterns that pass without a task. `obligations` are the
    types that policies may ask for (all known ones, if left out). `request_attributed` are entity types whose
    properties may come with a request. `directory` are known destinations, exact or `@domain`. `opa` is the server that is asked about
    policies in Rego; without it they are evaluated in this process. `agent_rates` bound what each agent may use up, over all its tasks.
    `first_use` says whether a first use that widens a session raises the tier. `approvals` are its terms for access requests,
    `break_glass` bounds what people may open against it.
    """

    name: str
    description: str = ""
    mode: Mode = Mode.ENFORCE
    task_free: tuple[str, ...] = ()
    obligations: tuple[str, ...] | None = None
    request_attributed: tuple[str, ...] = ()
    directory: tuple[str, ...] = ()
    opa: Opa | None = None
    agent_rates: tuple[RateEntry, ...] = ()
    first_use: FirstUse = FirstUse.OBSERVE
    approvals: ApprovalsEntry = ApprovalsEntry()
    break_glass: BreakGlassRules = BreakGlassRules()


class Link(msgspec.Struct, frozen=True):
    """A policy made from a template by filling its slots."""

    template: str
    id: str
    principal: EntityRef | None = None
    resource: EntityRef | None = None


class RegoContents(msgspec.Struct, frozen=True):
    """The policies in Rego: their files, whether they have data, what they can read of a request, the digest of just these files, and
    the paths of the input that they compare by order, each with what with (`number`, `text`, or empty for what has no order)."""

    modules: tuple[str, ...]
    data: bool
    reads: Node
    digest: str
    compared: tuple[tuple[tuple[str, ...], str], ...] = ()


class Contents(msgspec.Struct, frozen=True):
    """What the files of a bundle say. `policies` holds statements, templates and what was linked from them.

    `actions` are those that can be asked for, each with every action group it is in, `resources` the types it is asked for on,
    `principals` those that ask for it; `groups` the groups alone.
    """

    manifest: Manifest
    policies: tuple[Policy, ...]
    actions: Mapping[str, tuple[str, ...]]
    resources: Mapping[str, tuple[str, ...]]
    principals: Mapping[str, tuple[str, ...]] = {}
    groups: Mapping[str, tuple[str, ...]] = {}
    schema: str = ""
    tools: tuple[Tool, ...] = ()
    task_types: tuple[TaskType, ...] = ()
    classes: tuple[ResourceClass, ...] = ()
    entities: tuple[EntityDocument, ...] = ()
    links: tuple[Link, ...] = ()
    rego: RegoContents | None = None
    facts: tuple[Fact, ...] = ()


class Bundle(msgspec.Struct, frozen=True):
    """A bundle that can be read in whole; `digest` names exactly these files."""

    name: str
    files: tuple[SourceFile, ...]
    digest: BundleDigest
    contents: Contents

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Its statements, templates, and what was linked from them."""
        return self.contents.policies


def digest_of(files: Iterable[SourceFile]) -> BundleDigest:
    """SHA-256 in hex over each path and text, in the order of paths, each after its length in bytes (8, big-endian).

    Texts have `\\n` line ends, so that a checkout on another system has the same digest.
    """
    digest = hashlib.sha256(_DOMAIN)
    for file in sorted(files, key=lambda file: file.path):
        for text in (file.path, file.text):
            data = text.encode()
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return BundleDigest(digest.hexdigest())
