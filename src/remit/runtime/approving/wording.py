"""What the card of an access request says of why it waits and of where values came from, on a terminal and in a webhook's message alike."""

from remit.model.decision import Steering
from remit.pdp.provenance.origins import STEERED
from remit.runtime.approving.approvals import Shown

NOT_SEEN = "a call whose output nobody reported, or that was too much to search"
"""Where a value may come from of which nobody knows that it came from untrusted output; policies treat it as if it did."""


def because(shown: Shown) -> str:
    """The words of the policies that ask, qualified where these cannot tell untrusted text from what nobody reported or searched."""
    untrusted = [one for one in shown.steering if one.origin == STEERED]
    unseen = untrusted and not any(one.source for one in untrusted)
    return shown.why + (" (or may have: what a call returned was not reported, or not searched)" if unseen else "")


def came(steering: Steering) -> str:
    """Which argument has which value, and where that came from."""
    comes = "may come" if steering.origin == STEERED and not steering.source else "comes"
    return f"`{steering.argument}` = `{steering.value}` {comes} from {told(steering.origin, steering.source)}"


def told(origin: str, source: str) -> str:
    """Where a value came from, in words for who has to answer."""
    words = {
        "intent": "the task's own words",
        "directory": "the directory of known principals",
        "trusted": f"trusted output of {source}",
        "granted": f"{source}, as a data-flow grant allows",
        "named": f"a record of {source} that the task names",
        "record": f"a record of {source} that the task does not name",
        "linked": f"the only link in UNTRUSTED output of {source}",
        "document": f"{source}, a document that the task names and anybody may have written",
        "untrusted": f"UNTRUSTED output of {source}" if source else NOT_SEEN,
        "nowhere": "nowhere that was seen: the agent composed it",
    }
    return words.get(origin) or f"{source or 'somewhere'} (`{origin}`)"
