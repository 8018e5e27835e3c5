"""What a token costs the one who verifies it: the first time, beside the library's own verification, and from then on."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks import figures
from benchmarks.figures import Report, progress
from remit.authentication.waiting import awaited
from remit.credentials import key_files
from remit.local.config import Settings
from remit.local.trust import read_trust
from remit.local.wiring import wall_clock
from remit.model.identity import AgentId

URL = "http://127.0.0.1:8181"
TOKENS = 300


def measure(report: Report, home: Path, rounds: int) -> None:
    """Rounds alternate; each verifies tokens that nobody has seen before, then all of them again."""
    progress("service: tokens, the first time and again")
    trust = read_trust(Settings(), home, URL, wall_clock)
    folder = home / "issuer"
    public = ECKey.import_key(key_files.load(folder).public())
    known = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": URL}, aud={"essential": True, "value": URL}, exp={"essential": True}
    )

    def library(token: str) -> None:
        known.validate(jwt.decode(token, public, algorithms=["ES256"]).claims)

    some = trust.own.agent_token(AgentId("bot"), URL, 60)
    asyncio.run(awaited(lambda: trust.verifier.verify(some)))  # the keys are there from now on
    first: list[float] = []
    again: list[float] = []
    for number in range(-1, rounds):
        tokens = [trust.own.agent_token(AgentId("bot"), URL, 600) for _ in range(TOKENS)]
        bare = _each(library, tokens)
        ours = _each(lambda token: trust.verifier.verify(token) and None, tokens)
        remembered = _each(lambda token: trust.verifier.verify(token) and None, tokens)
        if number >= 0:
            first.append(ours - bare)
            again.append(remembered)
    report.judge(figures.TOKEN_FIRST, median(first))
    report.judge(figures.TOKEN_AGAIN, median(again))


def _each(verify: Callable[[str], None], tokens: list[str]) -> float:
    """µs for one of them."""
    begun = time.perf_counter()
    for token in tokens:
        verify(token)
    return (time.perf_counter() - begun) / len(tokens) * 1e6
