"""Labels: how confidential and how trustworthy is what a session or a value has touched."""

from enum import StrEnum

import msgspec

MAX_SOURCES = 64
"""A label names at most so many sources; what joins later keeps the label untrusted under `MORE`."""
MORE = "(more)"


class Confidentiality(StrEnum):
    """How closely data must be kept, public < internal < confidential < restricted."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        """0 (public) to 3 (restricted), for policies that compare."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Confidentiality)}


class Label(msgspec.Struct, frozen=True, gc=False):
    """Confidentiality, and integrity as the untrusted sources that had a part; no source means trusted."""

    confidentiality: Confidentiality = Confidentiality.PUBLIC
    sources: tuple[str, ...] = ()

    @property
    def untrusted(self) -> bool:
        """Whether any untrusted source had a part."""
        return bool(self.sources)

    def join(self, other: "Label") -> "Label":
        """The least label that covers both: the higher confidentiality, the union of the sources."""
        mine, theirs = self.confidentiality, other.confidentiality
        level = mine if mine is theirs or _RANK[mine] >= _RANK[theirs] else theirs
        sources = self.sources
        if other.sources and other.sources != sources and not set(other.sources) <= set(sources):
            sources = tuple(sorted({*sources, *other.sources}))
            if len(sources) > MAX_SOURCES:
                sources = (*[s for s in sources if s != MORE][: MAX_SOURCES - 1], MORE)
        if level is mine and sources is self.sources:
            return self
        return Label(level, sources)

    def within(self, other: "Label") -> bool:
        """Whether this label is no higher than `other` in either dimension; never, once it has sources that it cannot name."""
        mine, theirs = self.confidentiality, other.confidentiality
        if mine is not theirs and _RANK[mine] > _RANK[theirs]:
            return False
        sources = self.sources
        return not sources or (MORE not in sources and (sources == other.sources or set(sources) <= set(other.sources)))


PUBLIC_TRUSTED = Label()
