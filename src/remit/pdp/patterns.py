"""Patterns as scopes, classes and manifests write them: `*` is any text, everything else is itself."""

from fnmatch import fnmatchcase


def matches(text: str, pattern: str) -> bool:
    """Whether the whole text fits the pattern, upper and lower case told apart."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))
