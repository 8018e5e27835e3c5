"""Values as a resource keeps them: names as the schema writes them, types as it says, what it does not keep left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from remit.server.scim.errors import invalid, too_long
from remit.server.scim.schemas import Attribute, ResourceType, attribute_of, sub_of

MAX_VALUES = 20_000
"""So many values one attribute may have: the members of a group."""
MAX_TEXT = 4096
_TRUTHS = {"true": True, "false": False}
Resource = dict[str, Any]


def kept(kind: ResourceType, sent: Mapping[str, Any]) -> Resource:
    """What is kept of a resource as it was sent, and may be written. Raises `ScimError`."""
    resource: Resource = {}
    for name, value in sent.items():
        if kind.extension is not None and name.lower() == kind.extension.id.lower():
            if not isinstance(value, dict):
                raise invalid(f"`{name}` must be an object")
            for inner, one in value.items():
                put(resource, kind, kind.extension.id, attribute_of(kind, kind.extension.id, inner), one)
        else:
            put(resource, kind, "", attribute_of(kind, "", name), value)
    return resource


def put(resource: Resource, kind: ResourceType, schema: str, attribute: Attribute | None, value: Any) -> None:
    """Give an attribute a value, if it is one that is kept; nothing (null, an empty list) takes it away. Raises `ScimError`."""
    if attribute is None or attribute.mutability == "readOnly":
        return  # RFC 7644, section 3.3: what is read-only is passed over
    place = place_of(resource, kind, schema, make=True)
    given = clean(attribute, value)
    if given is None or given == [] or given == {}:
        place.pop(attribute.name, None)
    else:
        place[attribute.name] = given
    tidy(resource, kind)


def place_of(resource: Resource, kind: ResourceType, schema: str, *, make: bool = False) -> Resource:
    """The part of a resource under a schema: the whole for the core's."""
    if kind.extension is None or schema.lower() != kind.extension.id.lower():
        return resource
    found: Resource = resource.setdefault(kind.extension.id, {}) if make else resource.get(kind.extension.id, {})
    return found


def tidy(resource: Resource, kind: ResourceType) -> None:
    """An extension without anything in it is not there."""
    if kind.extension is not None and not resource.get(kind.extension.id, True):
        del resource[kind.extension.id]


def clean(attribute: Attribute, value: Any) -> Any:
    """The value as it is kept, None for none. Raises `ScimError`."""
    if value is None:
        return None
    if not attribute.multi:
        # Some services send the one value in a list, or that of a complex attribute bare.
        if isinstance(value, list) and len(value) <= 1:
            value = value[0] if value else None
        if isinstance(value, dict) and attribute.type != "complex" and "value" in value:
            value = value["value"]
        return None if value is None else _one(attribute, value)
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_VALUES:
        raise too_long(f"`{attribute.name}` has more than {MAX_VALUES} values: send it in parts")
    found = [one for one in (_one(attribute, one) for one in values) if one not in (None, {})]
    return distinct(found)


def _one(attribute: Attribute, value: Any) -> Any:
    if attribute.type == "complex":
        if isinstance(value, str):
            value = {"value": value}
        if not isinstance(value, dict):
            raise invalid(f"`{attribute.name}` must be an object")
        read = {sub.name: clean(sub, one) for name, one in value.items() if (sub := sub_of(attribute, name)) is not None}
        return {name: one for name, one in read.items() if one not in (None, "")}
    if attribute.type == "boolean":
        truth = _TRUTHS.get(value.lower()) if isinstance(value, str) else value  # Entra ID sends `"False"`
        if not isinstance(truth, bool):
            raise invalid(f"`{attribute.name}` must be true or false")
        return truth
    if not isinstance(value, str):
        raise invalid(f"`{attribute.name}` must be a text")
    if len(value) > MAX_TEXT:
        raise invalid(f"`{attribute.name}` is longer than {MAX_TEXT} characters")
    return value


def key_of(value: Any) -> str:
    """What two values have in common that are the same."""
    return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values, each once."""
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(key_of(value), value)
    return list(found.values())
