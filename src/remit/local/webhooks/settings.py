"""Webhooks as they stand in the configuration: where to, what of, and who answers from there."""

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from remit.credentials.shared_secrets import SharedSecret, read
from remit.local.config import Settings
from remit.local.webhooks.alarms import BREAK_GLASS
from remit.model.errors import malformed

EVENTS = ("opened", "submitted", "given", "escalated", "answered", "expired", BREAK_GLASS)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    url: str
    secret_file: str
    events: tuple[str, ...] = EVENTS
    arguments: bool = False
    people: dict[str, str] = {}


class Webhook(msgspec.Struct, frozen=True):
    """One receiver. `arguments` says whether it is shown what exactly would run; `people` are those who answer from there, by the id they
    have there."""

    name: str
    url: SplitResult
    secret: SharedSecret
    events: frozenset[str]
    arguments: bool
    people: dict[str, str]


def read_webhooks(settings: Settings, home: Path) -> tuple[Webhook, ...]:
    """The webhooks that the settings name. Raises `RemitError`: malformed, not-found or refused for what cannot be used."""
    found: list[Webhook] = []
    for table in settings.webhooks:
        hook = _webhook(table, home)
        for other in found:
            if other.name == hook.name:
                raise malformed(f"two webhooks have the name `{hook.name}`: give each its own")
            if other.secret.same(hook.secret):
                raise malformed(
                    f"webhooks `{other.name}` and `{hook.name}` share a secret: nobody could tell whose answer is whose"
                )
        found.append(hook)
    return tuple(found)


def _webhook(table: dict[str, Any], home: Path) -> Webhook:
    try:
        entry = msgspec.convert(table, _Entry)
    except msgspec.ValidationError as error:
        raise malformed(f"a webhook in `config.toml` cannot be read ({error}): see docs/configuration.md") from None
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", entry.name):
        raise malformed(f"`{entry.name}` is no name of a webhook: use lower-case letters, digits and `-`")
    if unknown := set(entry.events) - set(EVENTS):
        known = ", ".join(f"`{event}`" for event in EVENTS)
        raise malformed(f"webhook `{entry.name}` waits for `{sorted(unknown)[0]}`, which never happens: name some of {known}")
    if not all(user.strip() and person.strip() for user, person in entry.people.items()):
        raise malformed(f'webhook `{entry.name}` has people without a name: write `people = {{ID = "name"}}`')
    return Webhook(
        entry.name, _url(entry), read(home / entry.secret_file), frozenset(entry.events), entry.arguments, entry.people
    )


def _url(entry: _Entry) -> SplitResult:
    try:
        parts = urlsplit(entry.url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")  # as it is looked up
    except ValueError:
        host = ""
    # The address may hold a secret of its own, so that no message repeats it.
    if not host or parts.username is not None or parts.scheme not in ("http", "https"):
        raise malformed(f"the `url` of webhook `{entry.name}` is no address to send to: use `https://host/path`")
    if not all("!" <= char <= "~" for char in entry.url):
        raise malformed(
            f"the `url` of webhook `{entry.name}` has characters that no request has: write those of its path as `%XX`, and its host in"
            " Punycode"
        )
    if parts.scheme == "http" and not _is_here(host):
        raise malformed(
            f"the `url` of webhook `{entry.name}` would send in the open: use `https://`, or an address of this machine"
        )
    return parts


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
