"""Which acts a request asks for: its words may narrow what is permitted, and never widen it."""

import re
from functools import lru_cache

from remit.model.tool import ToolEffect
from remit.pdp.provenance.words import stem, words_of

_ACTS = """
delete remove erase discard trash purge wipe drop clear clean empty
cancel call_off unsubscribe terminate
send email mail message write forward reply respond notify tell inform ask contact text post announce share publish submit
invite add include participant attendee guest member
share grant give permission access invite
create make schedule book set_up add new plan organize organise arrange put event appointment meeting
buy purchase order checkout rebuy get
pay transfer send wire remit refund return reimburse transaction money
update change modify edit adjust move reschedule rename set replace correct
refund return reimburse
reserve book booking reservation rent hire
log_in login sign_in account verify
visit browse open read go webpage website site page link url article blog web online navigate
run execute launch start deploy install
merge close approve accept
upload attach store save
"""
_CLASSES = tuple(frozenset(stem(word) for word in line.split()) for line in _ACTS.strip().splitlines())
"""Words of English for one kind of act each; a request and a tool that share a class speak of the same."""


def _of(*first: str) -> frozenset[str]:
    """The classes that these words are in."""
    return frozenset().union(*(kind for kind in _CLASSES for word in first if stem(word) in kind))


_EMPTY = frozenset(
    stem(word)
    for word in "the a an of to for with in on by and or this that from given new user current returns return get".split()  # noqa: SIM905
)
_WORD = re.compile(r"[a-z]+")


def stems_of(text: str) -> frozenset[str]:
    """The stems of the words of a text in lower case."""
    return frozenset(stem(word) for word in _WORD.findall(text))


@lru_cache(4096)
def act_of(name: str, description: str) -> frozenset[str]:
    """What a tool's name and the first words of its description say it does: the first word of one, the first two of the other."""
    first = _WORD.findall(description.lower().partition(".")[0])[:2]
    return frozenset(stem(word) for word in (*words_of(name)[:1], *first))


_BY_EFFECT = {
    ToolEffect.DELETE: _of("delete", "cancel", "update", "refund"),
    ToolEffect.SEND: _of("send", "invite", "share", "reserve", "pay", "log_in", "upload", "buy"),
    ToolEffect.SPEND: _of("pay", "buy", "refund", "reserve"),
    ToolEffect.WRITE: _of("create", "update", "upload"),
    ToolEffect.EXECUTE: _of("run"),
    ToolEffect.GRANT: _of("share", "invite"),
}
"""What a tool may be asked for by whose name and description say nothing."""


def asks_for(request: frozenset[str], act: frozenset[str], effect: ToolEffect | None) -> bool:
    """Whether a request, by the stems of its words, speaks of such an act; where its words say nothing, of one with such an effect."""
    kinds = [kind for kind in _CLASSES if act & kind]
    if any(request & kind for kind in kinds) or (act & request) - _EMPTY:
        return True
    return not kinds and effect is not None and bool(request & _BY_EFFECT.get(effect, frozenset()))
