"""Data-flow grants: which argument of which tool may take its value from what another tool returns, and how often."""

import re
from functools import lru_cache

import msgspec

from remit.model.errors import malformed
from remit.model.request import FILE_READ

FORMS = ("email", "url", "host", "iban", "account", "amount", "phone")
"""The kinds of value that can be told from the text around them."""
MAX_USES = 1000
MAX_FLOWS = 64
"""A task has at most so many grants."""
MAX_LENGTH = 1000
_GRANT = re.compile(
    r"""(?P<target>[^\s:]+)\s*:=\s*
    (?:(?P<form>[a-z]+)(?:\s+"(?P<label>[^"]{1,80})")?|"(?P<literal>[^"]+)")
    \s+in\s+(?P<source>[^\s(,]+)(?:\((?P<document>[^\n]*)\))?
    (?P<options>(?:\s*,\s*[^,()]+)*)""",
    re.VERBOSE,
)
_TIMES = re.compile(r"([1-9]\d{0,3}) times")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_HINT = 'write TOOL.ARGUMENT := email in SOURCE(document), or "value" in SOURCE; see docs/provenance.md'


class FlowGrant(msgspec.Struct, frozen=True, gc=False):
    """One flow that somebody allows.

    `target` is `tool.argument`. Its value is one of `form` (after the words or in the field `label`, if given), or just `literal`, in what
    `source` returned when it was asked with `document` (if given; several with `;` between) and that has this SHA-256 (if given). Unless
    `any_of` them may be chosen, there must be only one such value. `uses` is how many calls may use it; None as long as the task lasts.
    """

    target: str
    source: str
    form: str = ""
    literal: str = ""
    label: str = ""
    document: str = ""
    digest: str = ""
    any_of: bool = False
    uses: int | None = 1

    @property
    def documents(self) -> tuple[str, ...]:
        """What the source must have been asked with."""
        return tuple(part.strip() for part in self.document.split(";")) if self.document else ()

    def __str__(self) -> str:
        what = f'"{self.literal}"' if self.literal else self.form + (f' "{self.label}"' if self.label else "")
        place = self.source + (f"({self.document})" if self.document else "")
        options = [
            *(["any"] if self.any_of else []),
            *(["repeatedly"] if self.uses is None else [f"{self.uses} times"] if self.uses > 1 else []),
            *([f"sha256:{self.digest}"] if self.digest else []),
        ]
        return ", ".join([f"{self.target} := {what} in {place}", *options])

    def often(self, uses: int | None) -> "FlowGrant":
        """The same, for so many calls."""
        return msgspec.structs.replace(self, uses=uses)

    def within(self, other: "FlowGrant") -> bool:
        """Whether everything that this one allows is allowed by the other one."""
        return (
            (self.target, self.source) == (other.target, other.source)
            and (self.form, self.literal, self.label) == (other.form, other.literal, other.label)
            and other.document in ("", self.document)
            and other.digest in ("", self.digest)
            and (other.any_of or not self.any_of)
            and (other.uses is None or (self.uses is not None and self.uses <= other.uses))
        )


@lru_cache(1024)
def flow_grant(text: str) -> FlowGrant:
    """A grant as it is written: `send_money.recipient := iban in read_file(bill.txt)`, then, after commas, `any`, `N times` or
    `repeatedly`, and `sha256:…`. Raises `RemitError` (malformed).
    """
    found = _GRANT.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    if found is None or "." not in found["target"] or not _is_readable(found):
        raise malformed(f"`{text[:200]}` is no data-flow grant: {_HINT}")
    if found["form"] and found["form"] not in FORMS:
        raise malformed(
            f"`{found['form']}` in `{text[:200]}` is no form of a value: use {', '.join(FORMS)}, or a value in quotes"
        )
    grant = FlowGrant(
        found["target"],
        found["source"],
        found["form"] or "",
        found["literal"] or "",
        found["label"] or "",
        found["document"] or "",
    )
    options = [option.strip() for option in found["options"].split(",") if option.strip()]
    for option in options:
        grant = _with(grant, option, text)
    kinds = ["uses" if option in ("once", "repeatedly") or option.endswith("times") else option[:6] for option in options]
    if len(set(kinds)) != len(kinds):
        raise malformed(
            f"`{text[:200]}` says something twice: write one of `once`, `N times`, `repeatedly`, one `any`, one digest"
        )
    if grant.source == FILE_READ and not grant.document:
        raise malformed(f"`{text[:200]}` names no file: write `in {FILE_READ}(/path/of/the/file)`")
    return grant


def _is_readable(found: re.Match[str]) -> bool:
    """Whether a reviewer reads what is meant: nothing invisible, no blank label or document, parentheses that belong together."""
    document, open_ = found["document"], 0
    for char in document or "":
        open_ += (char == "(") - (char == ")")
        if open_ < 0:
            return False
    blank = any(
        part is not None and not part.strip() for part in (*(document or "-").split(";"), found["label"], found["literal"])
    )
    return open_ == 0 and document != "" and not blank and found[0].isprintable()


def _with(grant: FlowGrant, option: str, text: str) -> FlowGrant:
    if option == "any":
        return msgspec.structs.replace(grant, any_of=True)
    if option == "once":
        return msgspec.structs.replace(grant, uses=1)
    if option == "repeatedly":
        return msgspec.structs.replace(grant, uses=None)
    if (times := _TIMES.fullmatch(option)) and int(times[1]) <= MAX_USES:
        return msgspec.structs.replace(grant, uses=int(times[1]))
    if digest := _DIGEST.fullmatch(option):
        return msgspec.structs.replace(grant, digest=digest[1])
    raise malformed(
        f"`{option}` in `{text[:200]}` means nothing: use `any`, `once`, `N times` (up to {MAX_USES}), `repeatedly` or `sha256:…`"
    )
