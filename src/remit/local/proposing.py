"""From shadow to policy: a bundle proposed from the log of a store, written as a folder for an administrator to edit."""

from collections.abc import Set
from pathlib import Path

import msgspec

from remit.local.replaying import StoreArchive
from remit.local.wiring import Store
from remit.model.errors import conflict, not_found, refused, unavailable
from remit.pap.bundle import compile_bundle
from remit.pap.contents import Bundle
from remit.pap.reading.folder import bundle_of
from remit.reviews.proposal import Proposal, floor_of, propose
from remit.reviews.replay import Replay, Replayed
from remit.reviews.usage import Usage, usage_of


class Proposed(msgspec.Struct, frozen=True):
    """What was proposed, from what, and what it would have decided of the same decisions."""

    proposal: Proposal
    usage: Usage
    replayed: Replayed


def propose_bundle(store: Store, base: Bundle, since: int = 0, without: Set[str] = frozenset()) -> Proposed:
    """The bundle that permits what honest tasks did since then (µs), and what it would have changed. Nothing is published.

    Raises `RemitError`: refused if nothing honest is in the log, `BundleError` if the base cannot be built on.
    """
    size = store.log.size()
    archive = StoreArchive(store)
    usage = usage_of(store.log.lines(0, size), archive, compile_bundle(floor_of(base)), since, without)
    if not usage.uses:
        raise refused(
            "no honest call is in that part of the log: run your agents in shadow mode for a while, or ask for more time"
        )
    proposal = propose(base, usage)
    replayed = Replay(archive, compile_bundle(bundle_of(proposal.files)), since=since).run(store.log.lines(0, size))
    return Proposed(proposal, usage, replayed)


def write_folder(proposal: Proposal, folder: Path) -> None:
    """Write the files into a new folder. Raises `RemitError`: conflict if it is there already, unavailable where the disk fails."""
    if folder.exists():
        raise conflict(f"`{folder}` exists: give a folder that does not, so that nobody's work is overwritten")
    if not folder.parent.exists():
        raise not_found(f"there is no folder `{folder.parent}` to write into")
    try:
        for file in proposal.files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, "utf-8")
    except OSError as error:
        raise unavailable(f"the proposal could not be written to `{folder}` ({error.strerror})") from None
