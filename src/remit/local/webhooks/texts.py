"""Texts of messages: in ASCII alone, so that no character is hidden or looks like another."""

import json
from typing import Any

MOST = 2900
"""So many characters fit into one block of a message."""


def section(text: str) -> dict[str, Any]:
    """A block that is read as it is."""
    return {"type": "section", "text": {"type": "plain_text", "text": text[:MOST], "emoji": False}}


def in_ascii(text: str) -> str:
    """On one line, every other character by its number."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


def escaped(text: str) -> str:
    """As Slack wants text in which it looks for links and names."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
