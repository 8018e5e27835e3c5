"""Keys that are fetched and held: an issuer that is gone, slow, rotated or flooded with keys that it does not have."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from remit.authentication.issuers import TrustedIssuer
from remit.authentication.keys.fetching import Admit, Unfetched
from remit.authentication.keys.holding import HeldKeys, KeysNeeded, Terms, keys_of
from remit.authentication.refusal import Code, NotVerified
from remit.authentication.verify import Verifier
from remit.authentication.waiting import awaited
from tests.authentication.minting import AUDIENCE, ISSUER, NOW, Issuer
from tests.runtime.world import Clock

REFRESH, RETRY, GRACE = 300, 30, 7200


class Published:
    """An issuer's keys as they are published: they can change, be gone, or not come until they are let go."""

    def __init__(self, document: bytes) -> None:
        self.document: bytes | Exception = document
        self.asked: list[str] = []
        self.held = threading.Event()
        self.held.set()

    def fetch(self, url: str, _admit: Admit) -> bytes:
        self.asked.append(url)
        self.held.wait(10)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


class Setting:
    """One issuer, its keys, and a verifier that fetches them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.issuer = clock, Issuer()
        self.published = Published(self.issuer.key_set())
        trusted = TrustedIssuer(
            ISSUER, (AUDIENCE,), jwks_url=f"{ISSUER}/jwks", refresh_seconds=REFRESH, retry_seconds=RETRY, grace_seconds=GRACE
        )
        self.keys: HeldKeys = keys_of(trusted, clock, self.published.fetch)
        self.verifier = Verifier([(trusted, self.keys)], clock)

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = self.clock.now // 1_000_000
        return self.issuer.token(header, **{"iat": now, "exp": now + 80_000, **claims})

    def verify(self, token: str) -> str:
        return asyncio.run(awaited(lambda: self.verifier.verify(token))).subject

    def code(self, token: str) -> Code:
        with pytest.raises(NotVerified) as refusal:
            self.verify(token)
        return refusal.value.code

    def settled(self) -> None:
        """Until what is fetched has come."""
        until = time.monotonic() + 5
        while self.keys._coming is not None and time.monotonic() < until:
            time.sleep(0.001)


@pytest.fixture
def setting(clock: Clock) -> Setting:
    return Setting(clock)


def test_keys_are_fetched_once_and_held(setting: Setting) -> None:
    for number in range(10):
        assert setting.verify(setting.token(jti=str(number))) == "bot"
    assert setting.published.asked == [f"{ISSUER}/jwks"]


def test_a_check_never_waits(setting: Setting) -> None:
    setting.published.held.clear()
    with pytest.raises(KeysNeeded) as needed:
        setting.verifier.verify(setting.token())
    assert not needed.value.coming.done()
    setting.published.held.set()
    needed.value.coming.result(5)
    assert setting.verifier.verify(setting.token()).subject == "bot"


def test_many_who_need_the_same_keys_wait_for_one_fetch(setting: Setting) -> None:
    setting.published.held.clear()
    token, found = setting.token(), []
    threads = [threading.Thread(target=lambda: found.append(setting.verify(token))) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    setting.published.held.set()
    for thread in threads:
        thread.join(5)
    assert found == ["bot"] * 20 and len(setting.published.asked) == 1


def test_an_event_loop_goes_on_while_keys_come(setting: Setting, clock: Clock) -> None:
    other = Setting(clock)
    other.issuer.name = ISSUER

    async def scenario() -> None:
        setting.published.held.clear()
        waiting = [asyncio.create_task(awaited(lambda: setting.verifier.verify(setting.token()))) for _ in range(50)]
        gone = asyncio.create_task(awaited(lambda: setting.verifier.verify(setting.token())))
        await asyncio.sleep(0.02)
        gone.cancel()  # one caller hangs up
        # an issuer that hangs holds up its own tokens alone
        assert (await asyncio.wait_for(awaited(lambda: other.verifier.verify(other.token())), 2)).subject == "bot"
        assert not any(task.done() for task in waiting)
        setting.published.held.set()
        assert {found.subject for found in await asyncio.wait_for(asyncio.gather(*waiting), 5)} == {"bot"}

    asyncio.run(scenario())
    assert len(setting.published.asked) == 1


def test_an_issuer_that_is_gone_from_the_start_verifies_nothing(setting: Setting) -> None:
    setting.published.document = Unfetched("answered 500")
    assert setting.code(setting.token()) is Code.UNAVAILABLE
    assert setting.code(setting.token()) is Code.UNAVAILABLE
    assert len(setting.published.asked) == 1
    setting.published.document = setting.issuer.key_set()
    setting.clock.forward(RETRY)
    assert setting.verify(setting.token()) == "bot"


@pytest.mark.parametrize(
    "fault", [Unfetched("answered 500"), b"{}", b"", b"<html>", b'{"keys":[],"keys":[]}', RuntimeError("a fault")]
)
def test_keys_are_used_for_the_time_of_grace_and_then_nothing_is(setting: Setting, fault: Any) -> None:
    token = setting.token()
    assert setting.verify(token) == "bot"
    setting.published.document = fault
    for _ in range(GRACE // REFRESH - 1):
        setting.clock.forward(REFRESH)
        assert setting.verify(token) == "bot"
        assert setting.verify(setting.token(jti="another")) == "bot"
        setting.settled()
    setting.clock.forward(REFRESH)
    assert setting.code(token) is Code.UNAVAILABLE  # remembered or not
    assert setting.code(setting.token(jti="new")) is Code.UNAVAILABLE
    setting.published.document = setting.issuer.key_set()
    setting.clock.forward(RETRY)
    assert setting.verify(token) == "bot"


def test_an_issuer_that_hangs_keeps_nobody_waiting_within_the_time_of_grace(setting: Setting) -> None:
    """Nor does one that takes longer to fail than lies between two attempts."""
    token = setting.token()
    setting.verify(token)
    setting.published.document = Unfetched("did not answer within 5 s")
    setting.clock.forward(REFRESH)
    setting.verify(token)  # makes the first attempt that fails
    setting.settled()
    setting.published.held.clear()
    for _ in range(5):
        setting.clock.forward(REFRESH - 1)
        for _ in range(3):
            assert setting.verifier.verify(token).subject == "bot", "an attempt is under way, and nobody waits for it"
            setting.clock.forward(61)  # it is given up, and the next one hangs, too
        setting.published.held.set()
        setting.settled()
        assert setting.keys._asked() is None, "it took longer than lies between two, and is followed by the next all the same"
        setting.published.held.clear()
    setting.published.held.set()
    setting.clock.forward(GRACE)
    assert setting.code(token) is Code.UNAVAILABLE


def test_a_failure_of_long_ago_vouches_for_no_key(setting: Setting) -> None:
    token = setting.token()
    setting.verify(token)
    setting.published.document = Unfetched("answered 500")
    setting.clock.forward(REFRESH)
    setting.verify(token)
    setting.settled()
    setting.published.document = Issuer(kid="new").key_set()
    setting.clock.forward(2 * REFRESH)
    assert setting.code(token) is Code.INVALID_TOKEN


def test_keys_that_were_not_used_for_long_are_asked_for_before_they_are(setting: Setting) -> None:
    token = setting.token()
    setting.verify(token)
    setting.published.document = Issuer(kid="new").key_set()
    setting.clock.forward(2 * REFRESH)
    assert setting.code(token) is Code.INVALID_TOKEN


def test_a_key_that_is_gone_takes_its_tokens_along(setting: Setting) -> None:
    old, after = setting.token(), Issuer(kid="new")
    assert setting.verify(old) == "bot"
    setting.published.document = after.key_set(setting.issuer.jwk())  # both, while it rotates
    new = after.token(iat=NOW, exp=NOW + 80_000)
    setting.clock.forward(RETRY)
    assert setting.verify(new) == "bot" and setting.verify(old) == "bot"
    setting.published.document = after.key_set()
    setting.clock.forward(REFRESH)
    setting.verify(new)  # makes the fetch that is due
    setting.settled()
    assert setting.verify(new) == "bot"
    assert setting.code(old) is Code.INVALID_TOKEN


def test_a_key_that_is_exchanged_under_its_name_takes_its_tokens_along(setting: Setting) -> None:
    old = setting.token()
    assert setting.verify(old) == "bot"
    setting.published.document = Issuer().key_set()
    setting.clock.forward(2 * REFRESH)
    assert setting.code(old) is Code.INVALID_TOKEN


def test_a_new_key_is_found_as_soon_as_it_is_used(setting: Setting) -> None:
    setting.verify(setting.token())
    new = Issuer(kid="new")
    setting.published.document = new.key_set()
    setting.clock.forward(RETRY)
    assert asyncio.run(awaited(lambda: setting.verifier.verify(new.token()))).subject == "bot"
    assert len(setting.published.asked) == 2


def test_a_key_that_comes_right_after_the_others_were_fetched_is_found_too(setting: Setting) -> None:
    setting.verify(setting.token())
    for wait in (1, RETRY):
        new = Issuer(kid=f"after {wait}")
        setting.published.document = new.key_set()
        setting.clock.forward(wait)
        assert setting.verify(new.token(iat=NOW, exp=NOW + 1000)) == "bot"
    assert len(setting.published.asked) == 3
    setting.clock.forward(1)
    assert setting.code(Issuer(kid="another").token(iat=NOW, exp=NOW + 1000)) is Code.INVALID_TOKEN
    assert len(setting.published.asked) == 3, "what nobody has is not asked for each time"


def test_an_issuer_that_has_just_failed_is_not_asked_for_a_new_key(setting: Setting) -> None:
    setting.verify(setting.token())
    setting.published.document = Unfetched("answered 500")
    for _ in range(3):
        assert setting.code(Issuer(kid="new").token()) is Code.UNAVAILABLE
    assert len(setting.published.asked) == 2


@pytest.mark.parametrize("named", [{}, {"kid": ...}], ids=["its id stays", "it has no id"])
def test_a_key_that_is_exchanged_where_no_id_tells_is_found_as_soon_as_it_is_used(
    setting: Setting, named: dict[str, Any]
) -> None:
    old, new = setting.token(named), Issuer()
    setting.verify(old)
    setting.published.document = new.key_set()
    setting.clock.forward(RETRY)
    assert asyncio.run(awaited(lambda: setting.verifier.verify(new.token(named)))).subject == "bot"
    assert setting.code(old) is Code.INVALID_TOKEN, "remembered, and gone with its key"
    for number in range(100):
        setting.clock.forward(1)
        assert setting.code(Issuer().token(named, jti=str(number), exp=NOW + 1000)) is Code.INVALID_TOKEN
    assert len(setting.published.asked) <= 2 + 100 // RETRY + 1, "what nobody has signed asks once in a while"


def test_a_key_that_cannot_be_looked_for_is_not_said_to_be_unknown(setting: Setting) -> None:
    setting.verify(setting.token())
    setting.published.document = Unfetched("answered 500")
    setting.clock.forward(RETRY)
    assert setting.code(Issuer(kid="new").token()) is Code.UNAVAILABLE
    assert setting.verify(setting.token(jti="known")) == "bot"


def test_keys_that_nobody_has_are_asked_for_once_in_a_while(setting: Setting) -> None:
    good = setting.token()
    setting.verify(good)
    for number in range(2000):
        setting.clock.forward(0.1)
        assert setting.code(setting.token({"kid": f"k{number}"})) is Code.INVALID_TOKEN
        assert setting.verify(good) == "bot"
    assert len(setting.published.asked) <= 1 + 200 // RETRY + 1


def test_tokens_that_are_refused_anyway_ask_for_nothing(setting: Setting) -> None:
    for token in (
        setting.token(aud="else"),
        setting.token(exp=NOW - 100, iat=NOW - 200),
        setting.token({"typ": "x"}),
        setting.token({"kid": 1}),
    ):
        assert setting.code(token) is Code.INVALID_TOKEN
    assert setting.published.asked == []


def test_an_unchanged_document_keeps_what_is_remembered(setting: Setting) -> None:
    token = setting.token()
    first = asyncio.run(awaited(lambda: setting.verifier.verify(token)))
    setting.clock.forward(2 * REFRESH)
    assert asyncio.run(awaited(lambda: setting.verifier.verify(token))) is first and len(setting.published.asked) == 2


def test_an_attempt_that_hangs_for_good_keeps_no_other_from_being_made(setting: Setting) -> None:
    setting.published.held.clear()
    with pytest.raises(KeysNeeded) as first:
        setting.verifier.verify(setting.token())
    setting.clock.forward(61)
    with pytest.raises(KeysNeeded) as second:
        setting.verifier.verify(setting.token())
    assert second.value.coming is not first.value.coming and len(setting.published.asked) == 2
    setting.published.held.set()
    second.value.coming.result(5)
    assert setting.verify(setting.token()) == "bot"


def test_a_clock_that_goes_back_makes_keys_old(setting: Setting) -> None:
    setting.verify(setting.token())
    setting.published.document = Unfetched("answered 500")
    setting.clock.forward(-10)
    assert setting.code(setting.token()) is Code.UNAVAILABLE


def test_keys_in_a_file_are_read_again(clock: Clock, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    file, issuer = tmp_path / "keys.json", Issuer()
    trusted = TrustedIssuer(ISSUER, (AUDIENCE,), jwks_file=str(file))
    verifier = Verifier([(trusted, keys_of(trusted, clock))], clock)
    with pytest.raises(NotVerified) as refusal:
        asyncio.run(awaited(lambda: verifier.verify(issuer.token())))
    assert refusal.value.code is Code.UNAVAILABLE
    assert str(tmp_path) not in refusal.value.message and str(file) in caplog.text, "strangers are not told where keys are"
    file.write_bytes(issuer.key_set())
    clock.forward(30)
    assert asyncio.run(awaited(lambda: verifier.verify(issuer.token()))).subject == "bot"
    file.write_text(json.dumps({"keys": []}))
    clock.forward(600)
    with pytest.raises(NotVerified):
        asyncio.run(awaited(lambda: verifier.verify(issuer.token(iat=NOW + 600, exp=NOW + 700))))


def test_an_attempt_that_was_given_up_brings_nothing_back(clock: Clock) -> None:
    """Its answer is older than what came meanwhile: a key that is gone stays gone."""
    old, new = Issuer(), Issuer(kid="new")
    answers = [(threading.Event(), old.key_set()), (threading.Event(), new.key_set())]
    asked = iter(answers)

    def load() -> bytes:
        allowed, document = next(asked)
        allowed.wait(10)
        return document

    held = HeldKeys(load, Terms(ISSUER, REFRESH * 1_000_000, RETRY * 1_000_000, GRACE * 1_000_000), clock)
    with pytest.raises(KeysNeeded) as first:
        held.current()
    clock.forward(61)
    with pytest.raises(KeysNeeded) as second:
        held.current()
    for (allowed, _), needed in zip(reversed(answers), (second, first), strict=True):
        allowed.set()
        needed.value.coming.result(5)
        assert set(held.current().keys) == {"new"}
