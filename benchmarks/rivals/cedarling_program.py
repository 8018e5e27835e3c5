"""Cedarling's `authorize_unsigned` with its log in memory on the common rule; runs in the environment that has it."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from cedarling_python import BootstrapConfig, Cedarling, EntityData, RequestUnsigned  # type: ignore[import-not-found]

METADATA = {
    "policy_store_spec_version": 1,
    "cedar_version": "4.4.0",
    "policy_store": {
        "id": "0" * 40,
        "name": "Bench",
        "description": "",
        "version": "1.0.0",
        "created_date": "2026-01-01T00:00:00Z",
    },
}
SCHEMA = """
namespace Bench {
  entity Group;
  entity Agent in [Group];
  entity Tool;
  action "call" appliesTo { principal: [Agent], resource: [Tool], context: {"amount": Long, "domain": String, "tainted": Bool} };
}
"""
POLICIES = {
    # Without tokens an agent has no groups here: this names the type.
    "small-to-us": """@id("small-to-us")
        permit (principal is Bench::Agent, action == Bench::Action::"call", resource == Bench::Tool::"send_email")
        when { context.amount <= 1000 && context.domain == "example.com" };""",
    "tainted": '@id("tainted") forbid (principal, action, resource) when { context.tainted };',
}


def store(folder: Path) -> Path:
    """The policies as a folder that Cedarling reads."""
    (folder / "policies").mkdir()
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "schema.cedarschema").write_text(SCHEMA)
    for name, policy in POLICIES.items():
        (folder / "policies" / f"{name}.cedar").write_text(policy)
    return folder


def opened(folder: Path) -> Cedarling:
    """The engine, logging its decisions to memory."""
    settings = {
        "CEDARLING_APPLICATION_NAME": "bench",
        "CEDARLING_POLICY_STORE_LOCAL_FN": str(store(folder)),
        "CEDARLING_JWT_SIG_VALIDATION": "disabled",
        "CEDARLING_JWT_STATUS_VALIDATION": "disabled",
        "CEDARLING_JWT_SIGNATURE_ALGORITHMS_SUPPORTED": ["HS256"],
        "CEDARLING_LOG_TYPE": "memory",
        "CEDARLING_LOG_TTL": 60,
        "CEDARLING_LOG_LEVEL": "INFO",
    }
    return Cedarling(BootstrapConfig(settings))


def entity(type_: str, name: str) -> EntityData:
    """An entity without attributes."""
    return EntityData.from_dict({"cedar_entity_mapping": {"entity_type": f"Bench::{type_}", "id": name}})


def main() -> None:
    """Answer each number of calls with the median µs of one."""
    with tempfile.TemporaryDirectory() as folder:
        engine = opened(Path(folder))
    agent, tool, action = entity("Agent", "bot"), entity("Tool", "send_email"), 'Bench::Action::"call"'

    def call(amount: int, domain: str = "example.com", tainted: bool = False) -> bool:
        context = {"amount": amount, "domain": domain, "tainted": tainted}
        request = RequestUnsigned(action=action, resource=tool, context=context, principal=agent)
        return bool(engine.authorize_unsigned(request).is_allowed())

    assert (call(5), call(5000), call(5, "example.org"), call(5, tainted=True)) == (True, False, False, False)
    amount = 1000
    for asked in sys.stdin:
        spent = []
        for _ in range(int(asked)):
            begun = time.perf_counter_ns()
            call(amount)
            spent.append(time.perf_counter_ns() - begun)
            amount -= 1
        print(median(spent) / 1000, flush=True)


if __name__ == "__main__":
    main()
