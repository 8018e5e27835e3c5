"""A caller who is known, with the policies that say what they may."""

import msgspec

from remit.model.caller import Caller, Proof
from remit.model.identity import AgentId, Operator, TaskId
from remit.pdp.administration import Act, Administration, Thing


class Known(msgspec.Struct, frozen=True):
    """Somebody who calls, and the administration that they call."""

    caller: Caller
    administration: Administration

    def may(self, act: Act, agent: str = "") -> bool:
        """Whether they may do this to what is this agent's; to what is nobody's, if no agent is named."""
        return self.administration.rule(self.caller, act, Thing(agent)).allowed

    @property
    def name(self) -> str:
        """Who they are, as the log names people."""
        return self.caller.name

    @property
    def agent(self) -> AgentId | None:
        """Which agent they are, if they are one."""
        return self.caller.agent

    @property
    def operator(self) -> Operator:
        """The caller as somebody outside of the agents."""
        return self.caller.operator

    @property
    def task(self) -> TaskId | None:
        """The one task that their token is for."""
        return self.caller.task

    @property
    def proof(self) -> Proof:
        """How they showed who they are."""
        return self.caller.proof
