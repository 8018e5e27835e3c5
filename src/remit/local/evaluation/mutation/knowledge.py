"""What a world calls by name, gathered from all its texts before any of them is renamed."""

from collections.abc import Iterable

import msgspec

from remit.local.evaluation.mutation import words
from remit.local.evaluation.mutation.patterns import CAMEL, CAPITALISED, CODE_FIELD, FIELD, KEY, ORDINARY, PIECE, TITLED, tokens

PEOPLE = (words.FEMININE.split(), words.MASCULINE.split(), words.FAMILY.split())
LISTED = frozenset(name for table in PEOPLE for name in table)
_SYNONYMS = frozenset(word for table in (words.VERBS, words.NOUNS) for group in words.groups(table) for word in group)
_TOKENS = tokens()


class Knowledge(msgspec.Struct, frozen=True):
    """Names as a world's texts use them, in lower case.

    `proper` are names that stand in no list: they have a capital inside a sentence, or are part of an address, and are no word
    elsewhere. `ordinary` are all other words, which no name may become; `ambiguous` those of them that are names in the lists.
    `phrases` are names of several words that some address writes as one, `handles` parts of addresses that stand as words elsewhere.
    """

    proper: frozenset[str] = frozenset()
    ordinary: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    handles: frozenset[str] = frozenset()


def gather(texts: Iterable[str]) -> Knowledge:
    """Read all texts of a world."""
    lower: set[str] = set()
    capital: set[str] = set()
    titled: set[str] = set()
    parts: set[str] = set()
    labels: set[str] = set()
    for text in texts:
        lower.update(ORDINARY.findall(text))
        lower.update(word for key in KEY.findall(text) for word in key.split("_"))
        capital.update(word.lower() for word in (*CAPITALISED.findall(text), *FIELD.findall(text), *CODE_FIELD.findall(text)))
        titled.update(TITLED.findall(text))
        labels.update(_labels(text))
    parts = {part for label in labels for part in (*PIECE.findall(label), folded(label))}
    proper = (capital | parts) - lower - words.NOT_NAMES - words.ROLES - _SYNONYMS - LISTED
    ordinary = (lower | capital) - proper - parts
    handles = {label for label in labels if len(PIECE.findall(label)) > 1}
    phrases = tuple(sorted(_phrases(titled, parts)))
    return Knowledge(frozenset(proper), frozenset(ordinary), words.ALSO_WORDS & lower, phrases, frozenset(handles))


def _labels(text: str) -> set[str]:
    """What stands between the dots of the addresses in a text."""
    if "." not in text:
        return set()
    found = (token[0].lower() for token in _TOKENS.finditer(text) if token.lastgroup in ("address", "host"))
    return {label for address in found for label in address.replace("@", ".").split(".")}


def folded(name: str) -> str:
    """A name as an address may write it: its letters alone."""
    return "".join(c for c in name.lower() if c.isalpha())


def _phrases(titled: set[str], parts: set[str]) -> set[str]:
    found = set()
    for line in titled:
        said = line.split()
        for start in range(len(said)):
            for end in range(start + 1, len(said) + 1):
                phrase = said[start:end]
                several = len(CAMEL.findall("".join(phrase))) > 1
                if several and folded("".join(phrase)) in parts and not all(word.lower() in LISTED for word in phrase):
                    found.add(" ".join(phrase))
    return found
