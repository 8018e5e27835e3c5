"""New names for tools: each word of a name becomes another that says the same, the rest is renamed as anywhere."""

from collections.abc import Callable, Iterable

from remit.local.evaluation.mutation import words
from remit.local.evaluation.mutation.patterns import CAMEL, WORD
from remit.local.evaluation.mutation.permutations import cycle


class Rewording:
    """The new names of a world's tools; `name_of` has them all."""

    def __init__(self, seed: int, tools: Iterable[str], proper: Callable[[str], str], brand: Callable[[str], str]) -> None:
        """`proper` renames a word that has no synonym, `brand` what a name in one word may begin with: a product's name."""
        groups = [group for table in (words.VERBS, words.NOUNS) for group in words.groups(table)]
        self._synonyms = {old: new for group in groups for old, new in cycle(seed, group).items()}
        self._fillers = sorted(words.FILLERS, key=list(cycle(seed, words.FILLERS)).index)
        self._proper = proper
        self._brand = brand
        self.name_of: dict[str, str] = {}
        taken: set[str] = set()
        for name in sorted(tools):
            self.name_of[name] = next(new for new in self._candidates(name) if new != name and new not in taken)
            taken.add(self.name_of[name])

    def _candidates(self, name: str) -> Iterable[str]:
        brand = self._brand_of(name)
        reworded = (self._brand(brand) if brand else "") + CAMEL.sub(lambda word: self._word(word[0]), name[len(brand) :])
        yield reworded
        for filler in self._fillers:
            yield reworded + (filler.capitalize() if name[:1].isupper() and "_" not in name else f"_{filler}")
        yield from (f"{reworded}_{number}" for number in range(2, len(self.name_of) + 3))

    def _brand_of(self, name: str) -> str:
        parts = CAMEL.findall(name)
        joined = name == "".join(parts) and len(parts) > 1 and name[0].isupper()
        starts = ["".join(parts[:2]), parts[0]] if joined and parts[0].lower() not in self._synonyms else []
        return next((start for start in starts if self._brand(start) != start), "")

    def _word(self, text: str) -> str:
        low = text.lower()
        for ending in ("", "s"):
            stem = low.removesuffix(ending) if ending else low
            if stem in self._synonyms and low.endswith(ending):
                return _cased(text, _with_ending(self._synonyms[stem], ending))
        return self._proper(text)

    def in_prose(self, text: str) -> str | None:
        """The new name of a tool that a text mentions; a name of one word is left to mean that word."""
        return self.name_of.get(text) if len(CAMEL.findall(text)) > 1 else None

    def description(self, name: str, text: str) -> str:
        """What is said of a tool, with the words of its name replaced as they were there."""
        own = {word.lower().removesuffix("s") for word in CAMEL.findall(name)}
        return WORD.sub(lambda word: self._word(word[0]) if word[0].lower().removesuffix("s") in own else word[0], text)


def _with_ending(word: str, ending: str) -> str:
    if ending and word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if ending and word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return word + ending


def _cased(like: str, word: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
