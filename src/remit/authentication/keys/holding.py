"""The keys of one issuer, held for a while: fetched by one thread at a time, never by whoever checks a token."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import msgspec

from remit.authentication.issuers import TrustedIssuer
from remit.authentication.jose.key import SVID_USE
from remit.authentication.jose.key_set import KeySet, Unreadable, read_key_set
from remit.authentication.keys.fetching import Fetch, Unfetched, fetch
from remit.authentication.keys.places import key_document
from remit.authentication.refusal import NotVerified, invalid, unavailable
from remit.model.clock import SECOND, Clock

_log = logging.getLogger("remit")
ABANDONED_SECONDS = 60
"""An attempt that is older no longer keeps another from being made."""


class KeysNeeded(Exception):
    """A token that cannot be checked before the keys of its issuer have come: wait for `coming`, then check it again."""

    def __init__(self, coming: "Future[None]") -> None:
        super().__init__()
        self.coming = coming


class KeySource(Protocol):
    """Where a verifier gets keys; never waits for anything."""

    def current(self) -> KeySet:
        """The keys as they are. The same object as long as they are the same. Raises `KeysNeeded`, `NotVerified` (unavailable)."""
        ...

    def without(self, held: KeySet, /) -> KeySet:
        """The keys after those in which one was not found. Raises `KeysNeeded`, `NotVerified` (invalid-token) if asking would not help."""
        ...


class FixedKeys:
    """Keys that are known from the start."""

    def __init__(self, document: bytes) -> None:
        self._keys = read_key_set(document)

    def current(self) -> KeySet:
        """These keys."""
        return self._keys

    def without(self, _held: KeySet, /) -> KeySet:
        """There are no others: raises `NotVerified`."""
        raise _unknown("this issuer")


class Terms(msgspec.Struct, frozen=True):
    """How long keys are held, in µs: `refresh`, `retry` and `grace` as a `TrustedIssuer` says them."""

    name: str
    refresh: int
    retry: int
    grace: int
    use: str = "sig"


class HeldKeys:
    """Keys that `load` gives (bytes of a key set; raises `Unfetched`), held as `terms` say. Safe to share between threads.

    Up to `refresh` they are used; from then on they are fetched anew while they are used, and from twice that on nobody uses them before
    an attempt was made. If attempts fail they are used up to `grace`, whether the next one hangs or not; then nothing is verified. A key
    that is not among them is asked for at once, but once in `retry`, however many tokens name one.
    """

    def __init__(self, load: Callable[[], bytes], terms: Terms, clock: Clock) -> None:
        self._load, self._terms, self._clock = load, terms, clock
        self._lock = threading.Lock()
        self._held: KeySet | None = None
        self._document = b""
        self._fetched = self._tried = 0
        self._never_tried = True
        self._failed_at: int | None = None
        self._sought_at: int | None = None  # when a key that was not among them was last asked for
        self._why = ""
        self._coming: Future[None] | None = None
        self.told: Callable[[bool], None] | None = None
        """Told of each attempt whether it brought keys, by the thread that made it."""

    def current(self) -> KeySet:
        """The keys as they are. Raises `KeysNeeded`, `NotVerified` (unavailable)."""
        held, age = self._held, self._clock() - self._fetched
        if held is not None and 0 <= age < self._terms.refresh:
            return held
        with self._lock:
            coming = self._asked()
            age = self._clock() - self._fetched
            # INVARIANT (fail closed): keys that could not be confirmed for longer than the grace verify nothing.
            within = self._held is not None and 0 <= age < self._terms.grace
            if self._held is not None and within and (coming is None or age < 2 * self._terms.refresh or self._failed_lately()):
                return self._held
            if coming is not None:
                raise KeysNeeded(coming)
        raise self._gone()

    def without(self, held: KeySet, /) -> KeySet:
        """The keys after those in which one was not found. Raises `KeysNeeded`, `NotVerified` (invalid-token)."""
        with self._lock:
            if self._held is not None and self._held is not held:
                return self._held
            coming = self._asked(seeking=True)
        if coming is not None:
            raise KeysNeeded(coming)
        # What could not be asked may have it: whoever has rotated while nobody could see it is not told to get another token.
        raise self._gone() if self._why else _unknown(f"`{self._terms.name}`", self._terms.retry)

    def _gone(self) -> NotVerified:
        """Strangers are told no more: where keys are, and what answered there, is for the log."""
        return unavailable(
            f"the keys of `{self._terms.name}` are not to be had now: come again, whoever runs this server is told why"
        )

    def _failed_lately(self) -> bool:
        """Whether the attempt before the one that is under way failed, within `refresh` before this one began."""
        return self._failed_at is not None and 0 <= self._tried - self._failed_at < self._terms.refresh

    def _sought_lately(self) -> bool:
        return self._sought_at is not None and 0 <= self._clock() - self._sought_at < self._terms.retry

    def _asked(self, seeking: bool = False) -> "Future[None] | None":
        """The attempt that is under way, or a new one if it is time for it, as it is for who is `seeking` a key while nobody has lately and
        the last attempt brought keys: the issuer may have rotated since. With the lock held."""
        waited = self._clock() - self._tried
        if self._coming is not None and 0 <= waited < ABANDONED_SECONDS * SECOND:
            return self._coming
        if not self._never_tried and 0 <= waited < self._terms.retry and (not seeking or self._why or self._sought_lately()):
            return None
        if seeking:
            self._sought_at = self._clock()
        if self._coming is not None:
            self._failed_at = self._clock()
        coming: Future[None] = Future()
        coming.set_running_or_notify_cancel()  # who no longer waits for it takes it from nobody else
        self._coming, self._tried, self._never_tried = coming, self._clock(), False
        threading.Thread(target=self._fetch, args=(coming,), name="remit-keys", daemon=True).start()
        return coming

    def _fetch(self, coming: "Future[None]") -> None:
        try:
            document = self._load()
            keys = read_key_set(document, self._terms.use)
            self._arrived(coming, document, keys)
        except (Unfetched, Unreadable) as failure:
            self._failed(coming, str(failure))
        except Exception as fault:  # the edge of a thread: whoever waits is told, whatever happened
            self._failed(coming, f"reading them failed ({type(fault).__name__})")
        finally:
            coming.set_result(None)
            if self.told is not None:
                self.told(not self._why)

    def _arrived(self, coming: "Future[None]", document: bytes, keys: KeySet) -> None:
        with self._lock:
            if self._coming is not coming:
                return
            if self._held is None or document != self._document:
                self._held, self._document = keys, document
            self._fetched, self._why, self._coming = self._tried, "", None

    def _failed(self, coming: "Future[None]", why: str) -> None:
        with self._lock:
            if self._coming is not coming:
                return
            self._why, self._coming = why, None
            self._tried = self._failed_at = self._clock()  # one that took long is not followed by the next at once
        _log.warning("the keys of `%s` are not to be had: %s", self._terms.name, why)


def keys_of(issuer: TrustedIssuer, clock: Clock, fetch: Fetch = fetch) -> HeldKeys:
    """The keys of an issuer, held on its terms."""
    terms = Terms(
        issuer.issuer,
        issuer.refresh_seconds * SECOND,
        issuer.retry_seconds * SECOND,
        issuer.grace_seconds * SECOND,
        SVID_USE if issuer.trust_domain else "sig",
    )
    return HeldKeys(lambda: key_document(issuer, fetch), terms, clock)


def _unknown(whose: str, retry: int = 0) -> NotVerified:
    again = f" (it is asked for new keys every {retry // SECOND} s)" if retry else ""
    return invalid(f"the token is signed with a key that {whose} does not publish: get a new one{again}")
