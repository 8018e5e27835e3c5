"""Bundles on the embedded store: published from a folder, rolled back, and asked what they would decide."""

from pathlib import Path

from remit.decision_log.entry import BundlePublished
from remit.local.wiring import Embedded
from remit.model.errors import not_found
from remit.model.identity import Operator
from remit.pap.bundle import from_document
from remit.pap.contents import Bundle
from remit.pap.publish import Publication, publish, rollback
from remit.pap.reading.folder import read_bundle
from remit.pdp.hints import counted
from remit.pdp.tier import tier_of_annotations
from remit.runtime.administration import activate_bundle


def publish_folder(embedded: Embedded, folder: Path, operator: Operator, shadow: bool = False) -> Publication | None:
    """Check, test and activate a bundle; None if exactly these files are active already.

    Raises as `pap.publish.publish` does, and conflict if somebody else published meanwhile.
    """
    return publish_bundle(embedded, read_bundle(folder), operator, shadow)


def publish_bundle(embedded: Embedded, bundle: Bundle, operator: Operator, shadow: bool = False) -> Publication | None:
    """The same for a bundle that was read, from whatever."""
    active = embedded.store.active_bundle()
    if active is not None and active[0] == bundle.digest:
        return None
    publication = publish(bundle, embedded.store, embedded.runtime.clock(), operator, shadow, embedded.runtime.ask)
    return _activate(embedded, publication)


def roll_back(embedded: Embedded, operator: Operator, to: str | None = None, shadow: bool = False) -> Publication:
    """Make an earlier bundle the active one. Raises as `pap.publish.rollback` does."""
    return _activate(embedded, rollback(embedded.store, embedded.runtime.clock(), operator, to, shadow))


def active_bundle(embedded: Embedded) -> Bundle:
    """The active bundle. Raises `RemitError` (not-found) where none is published."""
    active = embedded.store.active_bundle()
    if active is None:
        raise not_found("no bundle is published: run `remit policy publish FOLDER`")
    return from_document(active[1])


def tiers_of(bundle: Bundle) -> dict[str, str]:
    """The tools of a bundle's catalogue, each with the tier that its annotations give it."""
    return {tool.name: tier_of_annotations(counted(tool)).value for tool in bundle.contents.tools}


def _activate(embedded: Embedded, publication: Publication) -> Publication:
    entry = BundlePublished(
        publication.digest,
        publication.name,
        publication.mode.value,
        publication.previous,
        publication.operator.id,
        publication.rollback,
        publication.operator.verified_by,
    )
    activate_bundle(embedded.runtime, entry, publication.document).result()
    return publication
