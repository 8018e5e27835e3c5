"""How names and identifiers look in text, whatever the text is written in: prose, JSON, YAML, a URL, a quotation of any of them."""

import re

from remit.local.evaluation.mutation.words import PUBLIC_SUFFIXES

_LABEL = r"[\w-]{1,63}"
_TOKEN = rf"""
    (?P<between> \\+ (?: u[0-9a-fA-F]{{4}} | x[0-9a-fA-F]{{2}} | [nrtbf] )?      # an escape is no part of the word after it
        | % [0-9a-fA-F]{{2}} | & \#? \w{{1,10}} ;
        | \d{{4}}-\d\d-\d\d (?: [T\ ] \d\d:\d\d (?: :\d\d (?: \.\d+ )? )? )? )
  | (?P<address> [^\W_] [\w.+-]{{0,63}} @ {_LABEL} (?: \. {_LABEL} ){{1,8}} )
  | (?P<host> (?: (?<=://) (?: {_LABEL} \. ){{1,8}} [A-Za-z]{{2,24}} | (?: {_LABEL} \. ){{1,8}} (?: {PUBLIC_SUFFIXES.replace(" ", "|")} ) )
        (?! [\w-] | \.\w ) )
  | (?P<account> [A-Z]{{2}} \d{{2}} (?: [A-Z0-9]{{11,30}} | (?: \  [A-Z0-9]{{4}} ){{2,7}} (?: \  \d{{1,4}} )? ) (?! \w ) )
  | (?P<uuid> [0-9a-fA-F]{{8}} (?: - [0-9a-fA-F]{{4}} ){{3}} - [0-9a-fA-F]{{12}} (?! \w ) )
  | (?P<phone> \+ \d (?: [\ ()-]{{0,2}} \d ){{7,14}} (?! \w ) | \(? \d{{3}} \)? [\ -] \d{{3}} - \d{{4}} (?! [\w-] )
        | \d{{4}} (?: [\ -] \d{{4}} ){{3}} (?! [\w-] ) | \d{{3}}-\d{{2}}-\d{{4}} (?! [\w-] ) )
  | (?P<network> \d{{1,3}} (?: \. \d{{1,3}} ){{3}} (?! [\w.] ) )
  | (?P<number> \d+ (?: [.,] \d+ )+ (?! [^\W\d_] ) )
  | (?P<word> [^\W_]+ (?: _+ [^\W_]+ )* )
"""

PIECE = re.compile(r"[^\W\d_]+|\d+")
"""A run of letters, or of digits."""
QUANTITY = re.compile(r"\d+[^\W\d_]{1,3}")
"""A number with its unit."""
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
"""A word inside a name, however its words are joined."""
WORD = re.compile(r"(?<![\w-])[A-Za-z]+(?![\w-])")
"""A word that stands alone."""
ORDINARY = re.compile(r"(?<![\w@.-])[a-z]+(?![\w@]|[.-]\w)")
"""A word in lower case, outside of addresses and identifiers."""
KEY = re.compile(r"""(?:\A|["'])([a-z]{1,40}(?:_[a-z]{1,40}){1,8})(?:\\*["']\s*:|\Z)""")
"""A field's or an argument's name of several words."""
CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z](?=[A-Z]*[a-z])[A-Za-z]{2,40}(?![\w@])")
"""A word with a capital that begins no sentence."""
TITLED = re.compile(r"(?:[A-Z]\w* ){0,3}[A-Z]\w*")
"""Words with capitals one after the other."""
FIELD = re.compile(r"""(?:first|last|family|given|middle|sur)_?name["'\\]*\s*[:=]\s*["'\\]*([A-Z][a-z]+)""")
"""What a field calls a name."""
CODE_FIELD = re.compile(r"""(?:_|\b)(?:id|code)["'\\]*\s*[:=]\s*["'\\]*([A-Z]{5,12})(?!\w)""")
"""A code of letters alone, which only its field tells from a word."""
SIGNED = re.compile(r",(?:\s|\\n|\\)*(?:\n|\\n)(?:\s|\\n|\\)*\Z")
"""What stands before the name at the end of a letter."""
FAMILY_FOLLOWS = re.compile(r"\s+(?:[A-Z]\.\s+)?([A-Z][a-z]+)")
"""A word with a capital, after the white space at hand."""


def tokens(phrases: tuple[str, ...] = ()) -> re.Pattern[str]:
    """What may have to be renamed, longest kind first; every word is matched whole. `phrases` are names of several words.

    Every repetition is bounded, so that a text built for it costs no more than any other.
    """
    named = "|".join(r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(rf"(?P<phrase> (?: {named} ) (?! \w ) ) | {_TOKEN}" if named else _TOKEN, re.VERBOSE)


def is_number(text: str) -> bool:
    """Whether bare digits identify something: long, no date, no round sum."""
    return len(text) >= 6 and not text.endswith("000") and not (len(text) in (6, 8) and text[:2] in ("19", "20"))


def is_serial(text: str) -> bool:
    """Whether digits inside an identifier tell it from others: three or more, and no year."""
    return len(text) >= 3 and not (len(text) == 4 and text[:2] in ("19", "20"))


def is_code(text: str) -> bool:
    """Whether capitals and digits make a code such as a booking's: not a quantity with its unit, nor an amount with its currency."""
    digits = sum(c.isdigit() for c in text)
    if text != text.upper() or not text.isascii() or digits in (0, len(text)) or not text.isalnum():
        return False
    plain = text.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").isdigit()  # digits, then a unit
    amount = text[:3] in ("USD", "EUR", "GBP") and text[3:].isdigit()
    return not plain and not amount and (len(text) >= 5 or (len(text) == 4 and digits >= 2))


def is_hash(text: str) -> bool:
    """Whether letters and digits alternate as only a machine writes them."""
    return len(text) >= 8 and text.isascii() and text.isalnum() and len(PIECE.findall(text)) >= 4


def is_hexadecimal(text: str) -> bool:
    """Whether it consists of the digits of base 16."""
    return all(c in "0123456789abcdef" for c in text.lower())
