"""What simple deterministic policies reach on the public benchmarks: facts to compare with."""

import msgspec

GROUND_TRUTH, RECORDED, ADAPTED = "AgentDojo, ground truth", "AgentDojo, recorded models", "AgentDyn, recorded models"
SOURCE = (
    "policies of about a hundred lines over all suites of agentdojo 0.1.35, its published runs, and SaFo-Lab/AgentDyn (all MIT)"
)


class Reference(msgspec.Struct, frozen=True):
    """One policy on one set of runs, shares from 0 to 1."""

    policy: str
    runs: str
    asr: float
    automatic: float
    holds_per_run: float


REFERENCES = (
    Reference("session taint", GROUND_TRUTH, 0.0, 0.38, 0.96),
    Reference("session taint", RECORDED, 0.0, 0.33, 1.21),
    Reference("session taint", ADAPTED, 0.007, 0.005, 3.65),
    Reference("destination and directory", GROUND_TRUTH, 0.109, 0.85, 0.23),
    Reference("destination and directory", RECORDED, 0.139, 0.77, 0.37),
    Reference("destination and directory", ADAPTED, 0.246, 0.36, 1.58),
    Reference("declared tools", GROUND_TRUTH, 0.112, 1.0, 0.0),
    Reference("declared tools", RECORDED, 0.238, 0.996, 0.0),
    Reference("declared tools", ADAPTED, 0.308, 0.83, 0.27),
    Reference("tools, destination, directory", GROUND_TRUTH, 0.01, 0.85, 0.23),
    Reference("tools, destination, directory", RECORDED, 0.014, 0.77, 0.37),
    Reference("tools, destination, directory", ADAPTED, 0.062, 0.32, 1.76),
)
"""Session taint: any side effect after an untrusted read is held. Destination and directory: held where a destination comes from
untrusted output and the directory does not know it. Declared tools: no other tool than the task's author meant."""
