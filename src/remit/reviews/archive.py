"""What a look back needs beside the log: keys, what sessions saw, bundles and approvals."""

from collections.abc import Sequence
from typing import Protocol

from remit.decision_log.sealing import SealKey
from remit.model.identity import ApprovalId, DecisionId, SessionId, TaskId
from remit.pdp.compiled import CompiledBundle
from remit.pdp.inputs import Grant
from remit.pdp.outside import Opa, Said


class Observation(Protocol):
    """What a session saw come back, sealed under its task's key."""

    @property
    def decision(self) -> DecisionId:
        """The decision that permitted the call."""
        ...

    @property
    def source(self) -> str:
        """The tool."""
        ...

    @property
    def untrusted(self) -> bool:
        """Whether it may steer."""
        ...

    @property
    def sealed(self) -> bytes:
        """The text, empty where nobody saw it."""
        ...


class Archive(Protocol):
    """What the log alone does not have: keys, what sessions saw, bundles, and approvals with what their approver was shown."""

    def secret(self, task: TaskId) -> bytes | None:
        """The secret of a task's data key, None once destroyed."""
        ...

    def observations(self, session: SessionId) -> Sequence[Observation]:
        """What a session has seen, oldest first."""
        ...

    def bundle(self, digest: str) -> CompiledBundle | None:
        """A bundle that was published."""
        ...

    def grant(self, approval: ApprovalId, key: SealKey) -> Grant | None:
        """An approval that was used, as the decision could use it."""
        ...

    def ask(self, opa: Opa, document: bytes) -> Said:
        """Ask an engine outside of this process, where the log does not have its answer."""
        ...
