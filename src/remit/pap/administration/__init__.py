"""The policies of administration: those that come with Remit, and a deployment's own in their place."""

import hashlib
from pathlib import Path

from remit.model.errors import malformed, not_found, unavailable
from remit.pdp.administration import SCHEMA, Administration
from remit.pdp.cedar.engine import compile_policies, parse_schema
from remit.pdp.cedar.policies import check_ids, parse_policies, validate

FILE = "administration.cedar"
SHIPPED = Path(__file__).parent / FILE
"""Those that hold where a deployment has none of its own."""
MAX_FILE = 1 << 20


def read_administration(file: Path = SHIPPED) -> Administration:
    """The policies of a file. Raises `RemitError`: not-found, unavailable, malformed for what does not parse or fit the schema."""
    try:
        text = file.read_text("utf-8") if file.stat().st_size <= MAX_FILE else ""
    except FileNotFoundError:
        raise not_found(
            f"there is no `{file}`: leave the setting `administration` out for the policies that come with Remit"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise unavailable(f"`{file}` cannot be read ({error}): nobody may administer until it can") from None
    return administration_of(text, file.name)


def administration_of(text: str, source: str = FILE) -> Administration:
    """Policies of administration, checked against their schema. Raises `RemitError` (malformed), naming each that is wrong."""
    policies = parse_policies(text, source)
    check_ids(policies)
    if not any(policy.effect == "permit" for policy in policies):
        raise malformed(f"`{source}` permits nobody anything: that would lock everybody out")
    if any(policy.is_template for policy in policies):
        raise malformed(f"`{source}` has a template: write each policy out")
    wrong = validate(policies, parse_schema(SCHEMA, source))
    if wrong:
        raise malformed(f"`{source}`: " + "; ".join(f"policy `{name}`: {message}" for name, message in wrong))
    compiled = compile_policies([policy.id for policy in policies], [policy.text for policy in policies])
    return Administration(compiled, hashlib.sha256(text.encode()).hexdigest())
