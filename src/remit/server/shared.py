"""What the workers of one server have in common."""

import msgspec

from remit.authentication.possession.dpop import Proofs
from remit.server.api.callback import Callbacks
from remit.server.peers import Peers


class Shared(msgspec.Struct, frozen=True):
    """The other workers, and which proofs of possession and which callbacks any of them has seen."""

    peers: Peers
    proofs: Proofs
    callbacks: Callbacks
