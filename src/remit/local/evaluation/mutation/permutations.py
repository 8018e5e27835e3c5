"""Permutations that a seed chooses: of the words of a list, and of the characters of a code."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

_VOWELS, _CONSONANTS, _DIGITS = "aeiou", "bcdfghjklmnpqrstvwxyz", "0123456789"
_HEX = "abcdef"


def cycle(seed: int, words: Iterable[str]) -> dict[str, str]:
    """Each word and another one for it; no two words get the same, and none stays (unless it is alone)."""
    order = sorted(words, key=lambda word: sha256(f"{seed}:{word}".encode()).digest())
    return dict(zip(order, order[1:] + order[:1], strict=True))


class Cipher:
    """Characters for characters: vowels for vowels, consonants for consonants, digits for digits.

    What is part of a text stays part of it, so prefixes, endings and repetitions survive.
    """

    def __init__(self, seed: int) -> None:
        letters = cycle(seed, _VOWELS) | cycle(seed, _CONSONANTS)
        capitals = {old.upper(): new.upper() for old, new in letters.items()}
        digits = cycle(seed, _DIGITS)
        self._all = str.maketrans(letters | capitals | digits)
        self._hex = str.maketrans(cycle(seed, _HEX) | digits | cycle(seed, _HEX.upper()))

    def code(self, text: str) -> str:
        """Letters and digits renamed, the rest as it is."""
        return text.translate(self._all)

    def hexadecimal(self, text: str) -> str:
        """The same, within the digits of base 16."""
        return text.translate(self._hex)


def walk(step: Callable[[T], T], start: T, inside: Callable[[T], bool]) -> T:
    """The first value after `start`, itself inside, that `step` leads to inside.

    Where `step` is a permutation, so is this of what is inside: no two starts arrive at the same value (Black and Rogaway, Ciphers with
    Arbitrary Finite Domains, 2002, cycle walking).
    """
    found = step(start)
    while found != start and not inside(found):
        found = step(found)
    return found
