"""New names for people, organisations, addresses, accounts and codes: functions of the seed and the old name, none giving two the same."""

from functools import cache, partial

from remit.local.evaluation.mutation import words
from remit.local.evaluation.mutation.knowledge import LISTED, PEOPLE, Knowledge
from remit.local.evaluation.mutation.patterns import (
    CAMEL,
    PIECE,
    QUANTITY,
    is_code,
    is_hash,
    is_hexadecimal,
    is_number,
    is_serial,
)
from remit.local.evaluation.mutation.permutations import Cipher, cycle, walk


class Names:
    """The new names of one world."""

    def __init__(self, seed: int, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._people = {old: new for table in PEOPLE for old, new in cycle(seed, table).items()}
        self._cipher = Cipher(seed)
        self._octets = cycle(seed, map(str, range(256)))
        self.part = cache(self._part)

    def word(self, text: str, sure: bool) -> str:
        """A word of prose; where a name is a word as well, `sure` says that it is a name here."""
        low = text.lower()
        if low in self._people:
            return _cased(text, self._people[low]) if sure or low not in self._knowledge.ambiguous else text
        return self.part(text) if low in self._knowledge.proper else text

    def brand(self, text: str) -> str:
        """What begins the name of a tool: renamed where it looks like a product's name, being no word elsewhere."""
        low = text.lower()
        unknown = len(low) > 4 and low not in self._knowledge.ordinary | words.NOT_NAMES and len(CAMEL.findall(text)) == 1
        return self.part(text) if unknown or low in self._knowledge.proper else text

    def identifier(self, text: str) -> str:
        """Letters, digits and underscores: a code, a number, or words and numbers joined."""
        if text.lower() in self._knowledge.handles:
            return PIECE.sub(lambda piece: self._local(piece[0]), text)
        if text.isdigit():
            return walk(self._cipher.code, text, is_number) if is_number(text) else text
        if QUANTITY.fullmatch(text):
            return text
        if is_code(text):
            return walk(self._cipher.code, text, is_code)
        if is_hash(text):
            inside, step = is_hexadecimal(text), self._cipher.code
            if inside:
                step = self._cipher.hexadecimal
            return walk(step, text, lambda found: is_hash(found) and not is_code(found) and is_hexadecimal(found) == inside)
        sure = any(piece.lower() in LISTED - self._knowledge.ambiguous for piece in PIECE.findall(text))
        return PIECE.sub(lambda piece: self._piece(piece[0], sure), text)

    def _piece(self, text: str, sure: bool) -> str:
        return self._serial(text) if text.isdigit() else self.word(text, sure)

    def _serial(self, text: str) -> str:
        return walk(self._cipher.code, text, is_serial) if is_serial(text) else text

    def address(self, text: str) -> str:
        """An e-mail address: the person in it and the domain."""
        local, _, domain = text.rpartition("@")
        return PIECE.sub(lambda piece: self._local(piece[0]), local) + "@" + self.host(domain)

    def _local(self, text: str) -> str:
        return text if text.lower() in words.ROLES else self._serial(text) if text.isdigit() else self.part(text)

    def host(self, text: str) -> str:
        """A domain: what was registered is renamed, what stands before it unless it is a role, and the ending stays."""
        labels = text.split(".")
        ending = 2 if len(labels) > 2 and labels[-2].lower() in words.SECOND_LEVEL else 1
        own = max(0, len(labels) - ending - 1)
        before = [PIECE.sub(lambda piece: self._local(piece[0]), label) for label in labels[:own]]
        return ".".join((*before, PIECE.sub(lambda piece: self.part(piece[0], True), labels[own]), *labels[own + 1 :]))

    def account(self, text: str) -> str:
        """An account number of the same country and length; valid check digits (ISO 13616) stay valid, wrong ones wrong."""
        compact = text.replace(" ", "")
        country, check, old = compact[:2], int(compact[2:4]), compact[4:]
        new = self._cipher.code(old)
        moved = (check + _check_digits(country, new) - _check_digits(country, old)) % 100
        characters = iter(f"{country}{moved:02d}{new}")
        return "".join(c if c == " " else next(characters) for c in text)

    def network(self, text: str) -> str:
        """An IPv4 address: the part that says whose network it is stays."""
        first, *rest = text.split(".")
        return ".".join((first, *(self._octets.get(octet, octet) for octet in rest)))

    def phone(self, text: str) -> str:
        """A telephone or card number, its punctuation kept."""
        return self._cipher.code(text)

    def uuid(self, text: str) -> str:
        """A code in base 16, punctuated."""
        return self._cipher.hexadecimal(text)

    def phrase(self, text: str) -> str:
        """A name of several words that addresses write as one: its letters become those of the address."""
        letters = "".join(c for c in text if c.isalpha())
        joined = self.part(letters)
        if len(joined) != len(letters):
            return PIECE.sub(lambda word: self.part(word[0]), text)  # people's names: each word is one, or two
        renamed = iter(joined)
        return "".join(next(renamed) if c.isalpha() else c for c in text)

    def _part(self, text: str, roles: bool = False) -> str:
        """A part of an address, or a name that stands in no list; where `roles` may stand, a role is a name like others."""
        low = text.lower()
        if low in self._people:
            return _cased(text, self._people[low])
        pairs = _pairs(low)
        if len(pairs) == 1:
            first, second = walk(self._both, pairs[0], lambda pair: _pairs("".join(pair)) == [pair])
            middle = len(pairs[0][0])
            return _cased(text[:middle], first) + _cased(text[middle:], second)
        return (
            _like(text, walk(self._cipher.code, low, partial(self._is_free, roles=roles)))
            if text.isascii()
            else self._cipher.code(text)
        )

    def _both(self, pair: tuple[str, str]) -> tuple[str, str]:
        return self._people[pair[0]], self._people[pair[1]]

    def _is_free(self, name: str, roles: bool) -> bool:
        return (
            name not in LISTED
            and name not in self._knowledge.ordinary
            and (roles or name not in words.ROLES)
            and len(_pairs(name)) != 1
        )


def _pairs(name: str) -> list[tuple[str, str]]:
    """The ways in which two names of the lists, one after the other, give this one."""
    cuts = range(2, len(name) - 1)
    return [(name[:cut], name[cut:]) for cut in cuts if name[:cut] in LISTED and name[cut:] in LISTED]


def _cased(like: str, name: str) -> str:
    """A name in capitals, with one, or without, as another is; a name that is written otherwise is none of the lists and stays."""
    for case in (str.lower, str.capitalize, str.upper):
        if like == case(like):
            return case(name)
    return like


def _like(text: str, letters: str) -> str:
    """Letters with the capitals of a text of the same length."""
    return "".join(new.upper() if old.isupper() else new for old, new in zip(text, letters, strict=True))


def _check_digits(country: str, rest: str) -> int:
    digits = "".join(str(int(c, 36)) for c in f"{rest}{country}00")
    return 98 - int(digits) % 97
