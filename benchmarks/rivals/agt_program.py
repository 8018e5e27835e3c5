"""agent-governance-toolkit's `govern` with its log on the common rule; runs in the environment that has it."""

import sys
import time
from statistics import median

from agentmesh.governance import govern  # type: ignore[import-not-found]
from agentmesh.governance.govern import GovernanceDenied  # type: ignore[import-not-found]

# A boolean cannot be compared with `true` (that never matches): it stands alone.
POLICY = """
apiVersion: governance.toolkit/v1
name: common-rule
default_action: deny
rules:
  - {name: tainted, condition: "tainted.value", action: deny, priority: 100}
  - {name: small-to-us, condition: "amount.value <= 1000 and domain.value == 'example.com'", action: allow}
"""


def send_email(**_arguments: object) -> str:
    """The tool, which does nothing."""
    return "queued"


governed = govern(send_email, policy=POLICY)


def call(amount: int, domain: str = "example.com", tainted: bool = False) -> bool:
    """Whether the tool ran."""
    try:
        governed(action="send_email", amount=amount, domain=domain, tainted=tainted)
    except GovernanceDenied:
        return False
    return True


def main() -> None:
    """Answer each number of calls with the median µs of one."""
    assert (call(5), call(5000), call(5, "example.org"), call(5, tainted=True)) == (True, False, False, False)
    assert governed.audit_log is not None
    amount = 1000
    for asked in sys.stdin:
        spent = []
        for _ in range(int(asked)):
            begun = time.perf_counter_ns()
            governed(action="send_email", amount=amount, domain="example.com", tainted=False)
            spent.append(time.perf_counter_ns() - begun)
            amount -= 1
        print(median(spent) / 1000, flush=True)


if __name__ == "__main__":
    main()
