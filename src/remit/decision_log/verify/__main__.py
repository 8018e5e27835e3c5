"""The verifier's own command line, for whoever has an export and this folder but not Remit."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .proofs import ProofReport, is_proof, verify_proof
from .report import Report, UnusableInput
from .run import verify_export


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the arguments name. Returns 0 if it verifies, 1 if not, 2 where the input is unusable."""
    parser = argparse.ArgumentParser(prog="verify", description="Verify an exported decision log, or a proof from it, offline.")
    parser.add_argument("file", help="what `remit log export` or `remit log prove` wrote")
    parser.add_argument("--key", help="the log's key, got from elsewhere: name+hash+base64")
    parser.add_argument("--witness", action="append", default=[], help="the key of a witness: name+hash+base64")
    parser.add_argument("--head", type=Path, help="a file with a signed checkpoint of this log, kept from before")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    try:
        head = given.head.read_text("utf-8") if given.head else None
        report = _verified(given.file, given.key, given.witness, head)
    except (UnusableInput, OSError, UnicodeDecodeError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if given.json else report.to_text())
    return 0 if report.verified else 1


def _verified(file: str, key: str | None, witnesses: Sequence[str], head: str | None) -> Report | ProofReport:
    if not is_proof(file):
        return verify_export(file, key, witnesses=witnesses, head=head)
    if key is None:
        raise UnusableInput("a proof does not name the log's key: give it with --key, got from elsewhere")
    return verify_proof(file, key, witnesses=witnesses, head=head)


if __name__ == "__main__":
    sys.exit(main())
