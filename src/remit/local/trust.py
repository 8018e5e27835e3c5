"""Who is believed over a network, by the settings: issuers of tokens, what they make of their holder, and Remit's own issuer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from remit.authentication.issuers import LOOPBACK, TrustedIssuer, without_user
from remit.authentication.keys.holding import HeldKeys, KeySource, Terms, keys_of
from remit.authentication.possession.dpop import Proofs
from remit.authentication.possession.replays import Nonces, ProofsInMemory
from remit.authentication.verify import Verifier
from remit.credentials.minting import ACCESS_TYPE, FOLDER, TASK_TYPE, TokenIssuer
from remit.local.config import Settings
from remit.model.caller import Role
from remit.model.clock import MINUTE, SECOND, Clock
from remit.model.errors import malformed


class PeopleClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which claims say what is remembered of a token's holder (`[issuers.people]`); an empty one says nothing."""

    user_name: str = "preferred_username"
    name: str = "name"
    email: str = "email"
    manager: str = ""
    groups: str = ""


class Issuer(TrustedIssuer, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An issuer whose tokens are taken (`[[issuers]]`), and what they make of their holder.

    `audiences` are this server's `url`, if left out. `name_claim` is the claim that names a person or a service, `roles_claim` the one
    that has their groups; `roles` says, for each role, which groups give it. `people` are the claims that are remembered of people who
    call; without it nothing is.
    """

    audiences: tuple[str, ...] = ()
    name_claim: str = "sub"
    roles_claim: str = ""
    roles: dict[Role, tuple[str, ...]] = {}  # noqa: RUF012 - msgspec copies it
    people: PeopleClaims | None = None

    def __post_init__(self) -> None:
        """Raises `RemitError` (malformed) for terms that cannot be kept."""
        super().__post_init__()
        if "#" in self.issuer:
            raise malformed(f"the issuer `{self.issuer}` has a `#`, which parts issuer and subject in the identities of agents")
        if self.roles and not self.roles_claim:
            raise malformed(f"the issuer `{self.issuer}` gives roles by no claim: say which by `roles_claim`")
        if Role.AGENT in self.roles:
            raise malformed(f"the issuer `{self.issuer}` makes nobody an agent by a role: `remit agent bind` says who is one")


class Trust:
    """Everybody who is believed at `url`; safe to share between threads."""

    def __init__(
        self, url: str, issuers: Mapping[str, Issuer], own: TokenIssuer, clock: Clock, proofs: Proofs | None = None
    ) -> None:
        self.url, self.issuers, self.own = url, issuers, own
        terms = TrustedIssuer(own.name, (url,), types=(ACCESS_TYPE, TASK_TYPE), jwks_file="-")
        own_keys = HeldKeys(own.key_set, Terms(own.name, refresh=MINUTE, retry=SECOND, grace=5 * MINUTE), clock)
        self.keys = {one.issuer: keys_of(one, clock) for one in issuers.values()} | {own.name: own_keys}
        kept: list[tuple[TrustedIssuer, KeySource]] = [(one, self.keys[one.issuer]) for one in (*issuers.values(), terms)]
        checking = proofs or Proofs(ProofsInMemory(clock), Nonces())
        checking.share(own.secret())  # every machine of a server has the same issuer
        self.verifier = Verifier(kept, clock, checking)


def read_trust(settings: Settings, home: Path, url: str, clock: Clock, proofs: Proofs | None = None) -> Trust:
    """Whom the settings let a server believe that callers reach at `url`; `proofs` of possession are checked by this process alone unless
    they are given. Raises `RemitError` (malformed), naming what is wrong."""
    checked_url(url)
    issuers: dict[str, Issuer] = {}
    for given in settings.issuers:
        issuer = _issuer(given, url, home)
        if issuer.issuer in issuers or issuer.issuer == url:
            raise malformed(f"the issuer `{issuer.issuer}` stands twice in `[[issuers]]`, or is this server itself: keep one")
        issuers[issuer.issuer] = issuer
    return Trust(url, issuers, own_issuer(home, url, clock), clock, proofs)


def own_issuer(home: Path, url: str, clock: Clock, *, make: bool = True) -> TokenIssuer:
    """The issuer of tokens for those who have no other, its key in REMIT_HOME, made if there is none and it may be. Raises `RemitError`."""
    return TokenIssuer(url, home / FOLDER, clock, make=make)


def checked_url(url: str) -> str:
    """The address of a server, as tokens and proofs name it. Raises `RemitError` (malformed)."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc or url != url.lower():
        raise malformed(
            f"`{without_user(url)}` is no address of a server: write the setting `url` like `https://remit.example`, without a path"
        )
    return url


def _issuer(given: dict[str, Any], url: str, home: Path) -> Issuer:
    values = {"audiences": (url,), **given}
    if (file := values.get("jwks_file")) and isinstance(file, str):
        values["jwks_file"] = str(home / file)
    try:
        return msgspec.convert(values, Issuer, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(
            f"an entry of `[[issuers]]` cannot be read ({error}): see docs/identity.md for what it may have"
        ) from None
