"""A bundle's terms for access requests as they stand in its YAML."""

from collections.abc import Mapping

import msgspec

from remit.model.decision import ApproverRule
from remit.model.request import Tier
from remit.pap.malformed import Malformed
from remit.pdp.compiled import ApprovalTerms

MOST = 1000
LONGEST = 24 * 3600
_DEFAULT = ApprovalTerms()


class ApprovalsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`approvals` in `bundle.yaml`; see `ApprovalTerms`."""

    per_task: int = _DEFAULT.per_task
    per_agent: int = _DEFAULT.per_agent
    escalate_after: int = _DEFAULT.escalate_after
    escalate_to: tuple[str, ...] = ()
    rules: Mapping[str, str] = {}

    def noun(self) -> ApprovalTerms:
        """The terms. Raises `Malformed`."""
        if not (1 <= self.per_task <= MOST and 1 <= self.per_agent <= MOST):
            raise Malformed(f"`per_task` and `per_agent` of `approvals` are from 1 to {MOST}", "leave them out for 20 and 100")
        if not 0 <= self.escalate_after <= LONGEST:
            raise Malformed(f"`escalate_after` of `approvals` is from 0 to {LONGEST} seconds", "write 0 to escalate nothing")
        if bool(self.escalate_to) and not self.escalate_after:
            raise Malformed("`escalate_to` of `approvals` names people, but nothing is escalated", "write `escalate_after`, too")
        if not all(name.strip() for name in self.escalate_to):
            raise Malformed("`escalate_to` of `approvals` names nobody", "write the names of people")
        rules = {_tier(tier): _rule(tier, rule) for tier, rule in self.rules.items()}
        return ApprovalTerms(self.per_task, self.per_agent, self.escalate_after, self.escalate_to, rules)


def _tier(name: str) -> Tier:
    try:
        return Tier(name)
    except ValueError:
        known = ", ".join(f"`{tier.value}`" for tier in Tier)
        raise Malformed(f"`rules` of `approvals` name the tier `{name}`, which there is not", f"write {known}") from None


def _rule(tier: str, name: str) -> ApproverRule:
    try:
        return ApproverRule(name)
    except ValueError:
        known = ", ".join(f"`{rule.value}`" for rule in ApproverRule)
        message = f"`rules` of `approvals` ask for `{name}` at tier `{tier}`, which is nobody"
        raise Malformed(message, f"write {known}") from None
