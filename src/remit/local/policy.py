"""Bundles on the embedded store: published from a folder, rolled back, and asked what they would decide."""

from pathlib import Path

from remit.decision_log.entry import BundlePublished
from remit.local.wiring import Embedded
from remit.model.identity import Operator
from remit.pap.publish import Publication, publish, rollback
from remit.pap.reading.folder import read_bundle
from remit.runtime.administration import activate_bundle


def publish_folder(embedded: Embedded, folder: Path, operator: Operator, shadow: bool = False) -> Publication | None:
    """Check, test and activate a bundle; None if exactly these files are active already.

    Raises as `pap.publish.publish` does, and conflict if somebody else published meanwhile.
    """
    bundle, active = read_bundle(folder), embedded.store.active_bundle()
    if active is not None and active[0] == bundle.digest:
        return None
    publication = publish(bundle, embedded.store, embedded.runtime.clock(), operator, shadow, embedded.runtime.ask)
    return _activate(embedded, publication)


def roll_back(embedded: Embedded, operator: Operator, to: str | None = None, shadow: bool = False) -> Publication:
    """Make an earlier bundle the active one. Raises as `pap.publish.rollback` does."""
    return _activate(embedded, rollback(embedded.store, embedded.runtime.clock(), operator, to, shadow))


def _activate(embedded: Embedded, publication: Publication) -> Publication:
    entry = BundlePublished(
        publication.digest,
        publication.name,
        publication.mode.value,
        publication.previous,
        publication.operator,
        publication.rollback,
    )
    activate_bundle(embedded.runtime, entry, publication.document).result()
    return publication
