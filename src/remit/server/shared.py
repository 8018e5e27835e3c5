"""What the processes of one server have in common, as each of them sees it."""

from typing import Protocol

import msgspec

from remit.authentication.possession.dpop import Proofs
from remit.local.wiring import Embedded
from remit.server.api.callback import Callbacks
from remit.server.elsewhere import Others
from remit.server.repeating.answers import Once


class Peers(Others, Once, Protocol):
    """The other processes, which ask this one as it asks them."""

    async def listen(self, embedded: Embedded) -> None:
        """Answer the others from now on."""
        ...

    def close(self) -> None:
        """Answer nobody any more."""
        ...


class Shared(msgspec.Struct, frozen=True):
    """The other processes, and which proofs of possession and which callbacks any of them has seen."""

    peers: Peers
    proofs: Proofs
    callbacks: Callbacks
