"""Everything that belongs to one suite, renamed: the same name gets the same new one wherever it stands."""

import re
from collections.abc import Iterable
from typing import Any

from remit.local.evaluation.mutation import words
from remit.local.evaluation.mutation.knowledge import LISTED, gather
from remit.local.evaluation.mutation.names import Names
from remit.local.evaluation.mutation.patterns import FAMILY_FOLLOWS, SIGNED, tokens
from remit.local.evaluation.mutation.tools import Rewording


class World:
    """New names for one suite, a function of the seed and of what its texts call by name.

    `renamed` has each name that was replaced so far and its new one, `replaced` counts the places.
    """

    def __init__(self, seed: int, texts: Iterable[str], tools: Iterable[str]) -> None:
        named = sorted(tools)
        self._knowledge = gather([*texts, " ".join(name.replace("_", " ") for name in named if name == name.lower())])
        self.renamed: dict[str, str] = {}
        self.replaced = 0
        self._names = Names(seed, self._knowledge)
        self._tools = Rewording(seed, named, lambda word: self._names.word(word, sure=False), self._names.brand)
        self._tokens = tokens(self._knowledge.phrases)
        self._read: dict[str, tuple[str, int]] = {}

    def tool(self, name: str) -> str:
        """A tool's name."""
        return self._tools.name_of[name]

    def description(self, tool: str, text: str) -> str:
        """What is said of a tool: the words of its name are replaced as they are there."""
        return self._tools.description(tool, self.text(text))

    def text(self, text: str) -> str:
        """A text with every name in it replaced."""
        if text not in self._read:
            self._read[text] = self._renamed_text(text)
        new, count = self._read[text]
        self.replaced += count
        return new

    def value(self, value: Any) -> Any:
        """A JSON value: every text in it, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def _renamed_text(self, text: str) -> tuple[str, int]:
        out: list[str] = []
        at = count = 0
        previous: re.Match[str] | None = None
        for token in self._tokens.finditer(text):
            old, new = token[0], self._renamed_token(token, previous)
            if new != old:
                out += [text[at : token.start()], new]
                at, count = token.end(), count + 1
                self.renamed[old] = new
            previous = token
        return "".join([*out, text[at:]]), count

    def _renamed_token(self, token: re.Match[str], previous: re.Match[str] | None) -> str:
        old, names = token[0], self._names
        match token.lastgroup:
            case "between" | "number":
                return old
            case "word":
                return self._renamed_word(token, previous)
            case kind:
                return str(getattr(names, str(kind))(old))

    def _renamed_word(self, token: re.Match[str], previous: re.Match[str] | None) -> str:
        old = token[0]
        if not old.isalpha():
            return self._tools.in_prose(old) or self._names.identifier(old)
        if old.lower() in self._knowledge.ambiguous:
            return self._names.word(old, sure=old[0].isupper() and _beside_a_name(token, previous))
        return self._tools.in_prose(old) or self._names.word(old, sure=True)


def _beside_a_name(token: re.Match[str], previous: re.Match[str] | None) -> bool:
    """Whether what stands before or after a word says that it is somebody's name."""
    if SIGNED.search(token.string, max(0, token.start() - 16), token.start()):
        return True
    if previous is not None and not token.string[previous.end() : token.start()].strip(" \n\t."):
        before = previous[0].lower()
        if before in words.BEFORE_NAMES or (before in LISTED and previous[0][0].isupper()):
            return True
    after = FAMILY_FOLLOWS.match(token.string, token.end())
    return after is not None and after[1].lower() in LISTED
