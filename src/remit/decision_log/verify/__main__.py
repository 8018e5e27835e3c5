"""The verifier's own command line, for whoever has an export and this folder but not Remit."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .archive import is_archive, verify_archive
from .proofs import is_proof, verify_proof
from .report import UnusableInput
from .run import verify_export


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the arguments name. Returns 0 if it verifies, 1 if not, 2 where the input is unusable."""
    parser = argparse.ArgumentParser(
        prog="verify", description="Verify an exported or archived decision log, or a proof from it, offline."
    )
    parser.add_argument("file", help="what `remit log export`, `archive` or `prove` wrote")
    parser.add_argument("--key", help="the log's key, got from elsewhere: name+hash+base64")
    parser.add_argument("--witness", action="append", default=[], help="the key of a witness: name+hash+base64")
    parser.add_argument("--policy", type=Path, help="a file that names logs, witnesses and their quorum (C2SP tlog-policy)")
    parser.add_argument("--head", type=Path, help="a file with a signed checkpoint of this log, kept from before")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    try:
        head = given.head.read_text("utf-8") if given.head else None
        policy = given.policy.read_bytes() if given.policy else None
        verify = verify_archive if is_archive(given.file) else verify_proof if is_proof(given.file) else verify_export
        report = verify(given.file, given.key, witnesses=given.witness, policy=policy, head=head)
    except (UnusableInput, OSError, UnicodeDecodeError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if given.json else report.to_text())
    return 0 if report.verified else 1


if __name__ == "__main__":
    sys.exit(main())
