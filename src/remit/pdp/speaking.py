"""What a tool's name and description speak of doing: not what it does, but reason enough to take it for worse where nobody has said."""

import re
from functools import lru_cache

from remit.model.tool import ToolEffect
from remit.pdp.provenance.words import stem, words_of

_VERBS = {
    ToolEffect.EXECUTE: "execute exec eval run spawn launch deploy install sudo",
    ToolEffect.GRANT: "grant authorize authorise entitle elevate escalate impersonate unlock",
    ToolEffect.DELETE: "delete remove erase purge wipe destroy drop truncate discard trash uninstall revoke unlink clear cancel terminate",
    ToolEffect.SPEND: "pay buy purchase order transfer refund reimburse charge invest trade donate withdraw subscribe book reserve rent",
    ToolEffect.SEND: "send email mail post publish share forward reply respond notify tweet submit upload invite announce contact",
    ToolEffect.WRITE: "create update set write add edit modify change save put insert rename move schedule append replace store record",
    ToolEffect.READ: "get list read search find show view fetch lookup query check count describe return retrieve browse look summarize",
}
"""Verbs for each effect, the worst first."""
_WORDS = {effect: frozenset(verbs.split()) for effect, verbs in _VERBS.items()}
_STEMS = {effect: frozenset(map(stem, verbs)) for effect, verbs in _WORDS.items()}
_MACHINES = frozenset({"shell", "bash", "powershell", "terminal", "subprocess"})
"""Nouns of names that execute whatever they are given."""
_RIGHTS = frozenset({"access", "permission", "privilege", "role", "acl", "admin", "owner"})
_GIVING = frozenset({"give", "assign", "set", "change", "add", "update", "edit", "modify", "put", "make"})
_MONEY = frozenset({"money", "payment", "transaction", "fund"})
_NOUNS = "run drop launch grant trash install order charge trade book email mail post share record store contact"
_NOUNS_TOO = frozenset(map(stem, _NOUNS.split()))
"""Verbs that are as often nouns: of these only what cannot be a noun counts."""
_VERB_FOLLOWS = frozenset({"to", "can", "will", "may", "then", "be", "also"})
_LISTED = frozenset({",", "and", "or", "/", ":", ";"})
_TOKEN = re.compile(r"[a-z]+|[,.!?:;\n/]")
_ENDS = frozenset(".!?\n")
MAX_TEXT = 4000
"""So many characters of a description are read; what is longer speaks of everything it could."""


@lru_cache(4096)
def spoken_effect(name: str, description: str = "") -> ToolEffect | None:
    """The worst effect that a name or a description speaks of, None if they speak of none. Words are English."""
    if len(description) > MAX_TEXT:
        return ToolEffect.EXECUTE
    named, told = words_of(name), tuple(_verbs(description))
    for effect in _VERBS:
        if _names(effect, named) or not _STEMS[effect].isdisjoint(told):
            return effect
    return None


def _names(effect: ToolEffect, words: tuple[str, ...]) -> bool:
    if effect is ToolEffect.READ:
        return bool(words) and words[0] in _WORDS[effect]
    if effect is ToolEffect.EXECUTE and not _MACHINES.isdisjoint(words):
        return True
    if effect is ToolEffect.GRANT and not (_RIGHTS.isdisjoint(words) or _GIVING.isdisjoint(words)):
        return True
    if effect is ToolEffect.SPEND and not _MONEY.isdisjoint(words) and words[0] not in _WORDS[ToolEffect.READ]:
        return True
    # Behind its first word, a name has nouns: `get_order`, `list_runs`, `drop_off`.
    return any(
        word in _WORDS[effect] and (number == 0 or stem(word) not in _NOUNS_TOO) and words[number + 1 : number + 2] != ("off",)
        for number, word in enumerate(words)
    )


def _verbs(description: str) -> list[str]:
    """The stems of the words that stand where a verb does."""
    found, before = [], "."
    for token in _TOKEN.findall(description.lower()):
        if token.isalpha():
            participle = token.endswith("ed") and before != "be"
            clear = before in _ENDS or before in _VERB_FOLLOWS
            if not participle and (clear or (before in _LISTED and stem(token) not in _NOUNS_TOO)):
                found.append(stem(token))
        before = token
    return found
