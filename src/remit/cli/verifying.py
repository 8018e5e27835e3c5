"""Verifying for the command line: an export, an archive or a proof with what the caller trusts, or the store as it lies there."""

import tempfile
from json import loads as json_of
from pathlib import Path

import msgspec

from remit.cli.output import progress, store_folder
from remit.decision_log.verify import (
    ProofReport,
    Report,
    UnusableInput,
    is_archive,
    is_proof,
    verify_archive,
    verify_export,
    verify_proof,
)
from remit.local.config import read_settings
from remit.local.head import Head
from remit.local.wiring import open_store
from remit.model.errors import malformed, not_found
from remit.runtime.audit import Difference, differences


class Trusted(msgspec.Struct, frozen=True):
    """What the caller knows from elsewhere: keys as C2SP vkeys, a policy file's content, a signed head kept from before."""

    key: str | None = None
    witnesses: tuple[str, ...] = ()
    policy: bytes | None = None
    head: str | None = None


def known_head(path: Path | None) -> str | None:
    """A head kept from before: the signed note itself, or the JSON that `remit log head --json` and the store keep it in."""
    if path is None:
        return None
    try:
        text = path.read_text("utf-8")
        note = str(json_of(text)["note"]) if text.lstrip().startswith("{") else text
        if "\n\n" not in note:
            raise ValueError  # no signatures follow
        return note
    except FileNotFoundError:
        raise not_found(f"there is no file `{path}` with a head: keep in it what `remit log head` prints") from None
    except OSError as error:
        raise malformed(f"head `{path}` cannot be read ({error.strerror}): keep what `remit log head` prints") from None
    except (ValueError, KeyError, TypeError):
        raise malformed(f"`{path}` is no head of a log: keep what `remit log head` prints") from None


def known_policy(path: Path | None) -> bytes | None:
    """The content of a policy file. Raises `RemitError` (malformed, not-found)."""
    try:
        return path.read_bytes() if path is not None else None
    except FileNotFoundError:
        raise not_found(f"there is no file `{path}` with a policy: give the path of a C2SP tlog-policy") from None
    except OSError as error:
        raise malformed(f"policy `{path}` cannot be read ({error.strerror}): give the path of a C2SP tlog-policy") from None


def verify_file(path: Path, trusted: Trusted) -> Report | ProofReport:
    """What a file or an archive shows, whichever it is. Raises `RemitError` (malformed, not-found)."""
    if not path.exists():
        raise not_found(f"there is no file or folder `{path}`: give an export, an archive or a proof")
    try:
        if not is_archive(path) and is_proof(path):
            return verify_proof(path, trusted.key, witnesses=trusted.witnesses, policy=trusted.policy, head=trusted.head)
        return _verify_export(path, trusted)
    except UnusableInput as unusable:
        raise malformed(str(unusable)) from None


def _verify_export(path: Path, trusted: Trusted) -> Report:
    verify = verify_archive if is_archive(path) else verify_export
    with progress("verifying") as advance:
        return verify(path, trusted.key, witnesses=trusted.witnesses, policy=trusted.policy, head=trusted.head, progress=advance)


def verify_store(trusted: Trusted) -> tuple[Report, list[Difference]]:
    """The log of the store as it lies there, and where the tables beside it say something else."""
    home = store_folder()
    settings = read_settings(home)
    if settings.witnesses and not trusted.witnesses:
        from remit.local.witnessing import load_policy

        known = load_policy(home, settings.witnesses).witnesses.values()
        trusted = msgspec.structs.replace(trusted, witnesses=tuple(witness.key.text for witness in known))
    opened = open_store(home, settings)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "export"
            Head(home, settings.origin, opened.log).export(file, overwrite=False, as_is=True)
            try:
                report = _verify_export(file, trusted)
            except UnusableInput as unusable:
                raise malformed(str(unusable)) from None
        return report, differences(opened.log, opened) if report.verified else []
    finally:
        opened.close()
