"""Why a caller is not believed, and how that is said over HTTP (RFC 6750, RFC 9449)."""

from enum import StrEnum


class Code(StrEnum):
    """What a caller can do about it; the value is the `error` of a challenge."""

    MISSING = ""
    """No token was sent: get one (401, a challenge without `error`)."""
    INVALID_REQUEST = "invalid_request"
    """What was sent is ambiguous: mend the request (400)."""
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of an error
    """Get another token (401)."""
    INVALID_PROOF = "invalid_dpop_proof"
    """Make another proof (401)."""
    USE_NONCE = "use_dpop_nonce"
    """Make another proof, with the nonce that comes along (401)."""
    UNAVAILABLE = "temporarily_unavailable"
    """It cannot be checked now: come again later (503)."""


class NotVerified(Exception):
    """A caller who is not believed. `message` says what to do and never holds the token; `nonce` goes into a `DPoP-Nonce` header."""

    def __init__(self, code: Code, message: str, nonce: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.nonce = code, message, nonce


def invalid(message: str) -> NotVerified:
    """A token that is refused."""
    return NotVerified(Code.INVALID_TOKEN, message)


def bad_proof(message: str) -> NotVerified:
    """A proof of possession that is refused."""
    return NotVerified(Code.INVALID_PROOF, message)


def unavailable(message: str) -> NotVerified:
    """What cannot be checked now."""
    return NotVerified(Code.UNAVAILABLE, message)


def quoted(text: str, limit: int = 100) -> str:
    """A caller's text as a message may show it: one line, bounded, in backticks."""
    cut = text[:limit] + ("…" if len(text) > limit else "")
    return "`" + "".join(char if char.isprintable() and char != "`" else "?" for char in cut) + "`"


def challenges(refusal: NotVerified, algorithms: tuple[str, ...]) -> list[str]:
    """The values of `WWW-Authenticate` for a refusal; `algorithms` are those a proof may be signed with."""
    about = ""
    if refusal.code:
        about = f' error="{refusal.code}", error_description="{_description(refusal.message)}"'
    dpop = f'DPoP{about}{"," if about else ""} algs="{" ".join(algorithms)}"'
    if refusal.code in (Code.INVALID_PROOF, Code.USE_NONCE):
        return [dpop]
    return [f'Bearer realm="remit"{"," if about else ""}{about}', dpop]  # a scheme alone is no challenge (RFC 6750, section 3)


def _description(message: str) -> str:
    """What `error_description` may hold (RFC 6750, section 3)."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "?" for char in message)
