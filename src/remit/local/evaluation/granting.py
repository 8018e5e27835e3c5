"""What whoever opens a task by its declared tools would grant it: that the document he names may say whom to pay or write to."""

import re
from collections.abc import Iterator, Sequence

from remit.model.flow import MAX_FLOWS, FlowGrant
from remit.model.tool import Tool, ToolEffect
from remit.pdp.provenance.words import words_of

_DOCUMENT = re.compile(r"(?:https?://|www\.)[^\s'\"<>)]+|(?<![\w@.])[\w./-]*\w\.[a-z]{2,5}(?![\w@])")
_PLACES = frozenset({"file", "filename", "path", "url", "uri", "document", "page"})
_SENDS = (ToolEffect.SEND, ToolEffect.SPEND)
_RECEIVERS = ("account", "email")


def flows_of(purpose: str, declared: Sequence[str], tools: Sequence[Tool]) -> tuple[str, ...]:
    """One rule for all tasks. Each document that a purpose names by file name or address may give, once, to each declared tool that sends
    or pays: the one account or address that stands in it as a receiver, and the sum behind `total` as an amount.
    """
    sources = [tool for tool in tools if tool.annotations.effect is ToolEffect.READ and _asks_for_a_document(tool)]
    targets = [tool for tool in tools if tool.name in declared and tool.annotations.effect in _SENDS]
    found = [
        str(grant)
        for document in dict.fromkeys(_DOCUMENT.findall(purpose))
        for source in sources
        for target in targets
        for grant in _grants(document, source, target)
    ]
    return tuple(found[:MAX_FLOWS])


def _asks_for_a_document(tool: Tool) -> bool:
    return any(_PLACES & set(words_of(name)) for name in _properties(tool))


def _properties(tool: Tool) -> dict[str, dict[str, object]]:
    properties = (tool.schema or {}).get("properties")
    return properties if isinstance(properties, dict) else {}


def _grants(document: str, source: Tool, target: Tool) -> Iterator[FlowGrant]:
    for argument, schema in _properties(target).items():
        if argument in target.annotations.content or not isinstance(schema, dict):
            continue
        name = f"{target.name}.{argument}"
        if schema.get("type") in ("number", "integer"):
            yield FlowGrant(name, source.name, "amount", label="total", document=document)
        else:
            yield from (FlowGrant(name, source.name, form, document=document) for form in _RECEIVERS)
