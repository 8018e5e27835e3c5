"""Changes to a resource (RFC 7644, section 3.5.2), as the standard has them and as Entra ID and Okta send them."""

from copy import deepcopy
from typing import Any

from remit.server.scim.errors import Kind, ScimError, invalid
from remit.server.scim.paths import Filter, Path, holds_of, read_path, simple
from remit.server.scim.schemas import Attribute, ResourceType, attribute_of, sub_of
from remit.server.scim.values import Resource, clean, place_of, put, tidy

SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MAX_OPERATIONS = 1000
MAX_WORK = 1_000_000
"""Operations times the values that there are: each may look at all of them."""
_OPERATIONS = ("add", "replace", "remove")


def patched(kind: ResourceType, resource: Resource, sent: dict[str, Any]) -> Resource:
    """The resource once all is done that was asked for; the one given stays as it is. Raises `ScimError`."""
    members = {name.lower(): value for name, value in sent.items()}
    operations = members.get("operations")
    if SCHEMA not in (members.get("schemas") or ()) or not isinstance(operations, list) or not operations:
        raise ScimError(Kind.INVALID_SYNTAX, f"the body must be a `{SCHEMA}` with `Operations`")
    if len(operations) > MAX_OPERATIONS:
        raise ScimError(Kind.TOO_MANY, f"more than {MAX_OPERATIONS} operations: send them in parts")
    values = sum(len(value) for value in resource.values() if isinstance(value, list))
    if len(operations) * values > MAX_WORK:
        raise ScimError(Kind.TOO_MANY, "so many operations on so many values: send them in parts")
    after = deepcopy(resource)
    for one in operations:
        if not isinstance(one, dict):
            raise ScimError(Kind.INVALID_SYNTAX, "an operation must be an object")
        _operate(kind, after, {name.lower(): value for name, value in one.items()})
    return after


def _operate(kind: ResourceType, resource: Resource, one: dict[str, Any]) -> None:
    operation, path, value = one.get("op"), one.get("path"), one.get("value")
    operation = operation.lower() if isinstance(operation, str) else ""  # Entra ID sends `Replace`
    if operation not in _OPERATIONS:
        raise ScimError(Kind.INVALID_SYNTAX, f"`op` must be one of {', '.join(_OPERATIONS)}")
    if path is not None and not isinstance(path, str):
        raise ScimError(Kind.INVALID_PATH, "`path` must be a text")
    if path and not (kind.extension is not None and path.lower() == kind.extension.id.lower()):
        _at(kind, resource, operation, read_path(path), value)
        return
    if path and kind.extension is not None:  # the extension as a whole
        if operation == "remove":
            resource.pop(kind.extension.id, None)
            return
        value = {kind.extension.id: value}
    if operation == "remove":
        raise ScimError(Kind.NO_TARGET, "what is removed must be named by `path`")
    if not isinstance(value, dict):
        raise invalid("without `path`, `value` must be an object")
    for name, inner in value.items():
        if name.lower() == "schemas":
            continue
        if kind.extension is not None and name.lower() == kind.extension.id.lower():
            if not isinstance(inner, dict):
                raise invalid(f"`{name}` must be an object")
            for sub, part in inner.items():
                _at(kind, resource, operation, read_path(f"{kind.extension.id}:{sub}"), part)
        else:  # members may be paths themselves: `emails[type eq "work"].value`
            place = read_path(name)
            attribute = attribute_of(kind, place.what.schema, place.what.name)
            if attribute is not None and attribute.mutability != "readOnly":  # else it is passed over, as in a whole resource
                _at(kind, resource, operation, place, inner)


def _at(kind: ResourceType, resource: Resource, operation: str, path: Path, value: Any) -> None:
    attribute = attribute_of(kind, path.what.schema, path.what.name)
    if attribute is None:
        return  # it is none that is kept
    if attribute.mutability == "readOnly":
        raise ScimError(Kind.MUTABILITY, f"`{attribute.name}` cannot be written")
    sub = sub_of(attribute, path.what.sub) if path.what.sub else None
    if path.what.sub and sub is None:
        return
    place = place_of(resource, kind, path.what.schema, make=True)
    if not attribute.multi:
        _single(kind, place, operation, attribute, sub, value)
    elif operation == "remove":
        _remove(place, attribute, sub, path.picked, value)
    elif path.picked is not None or sub is not None:
        _picked(place, attribute, sub, path.picked, value)
    else:
        before = place.get(attribute.name, []) if operation == "add" else []
        values = clean(attribute, value) or []
        place[attribute.name] = clean(attribute, [*_one_primary(before, values), *values])
        if not place[attribute.name]:
            del place[attribute.name]
    tidy(resource, kind)


def _single(kind: ResourceType, place: Resource, operation: str, attribute: Attribute, sub: Attribute | None, value: Any) -> None:
    if sub is not None:
        inner = {**place.get(attribute.name, {}), sub.name: None if operation == "remove" else value}
        value, operation = inner, "replace"
    if operation == "remove":
        if attribute.required:
            raise ScimError(Kind.MUTABILITY, f"`{attribute.name}` is needed: replace it")
        place.pop(attribute.name, None)
    else:
        put(place, kind, "", attribute, value)


def _one_primary(before: list[Any], values: list[Any]) -> list[Any]:
    """What there was; none of it is primary any more where what comes is."""
    if not any(isinstance(one, dict) and one.get("primary") for one in values):
        return before
    return [{**one, "primary": False} if isinstance(one, dict) and one.get("primary") else one for one in before]


def _remove(place: Resource, attribute: Attribute, sub: Attribute | None, picked: Filter | None, value: Any) -> None:
    values = place.get(attribute.name, [])
    if sub is not None:
        left = [
            {name: part for name, part in one.items() if name != sub.name}
            if picked is None or holds_of(picked, attribute, one)
            else one
            for one in values
        ]
    elif picked is not None:
        left = [one for one in values if not holds_of(picked, attribute, one)]
    elif value is not None:  # Entra ID names the members that leave by `value`
        gone = [one.get("value") for one in clean(attribute, value)]
        left = [one for one in values if one.get("value") not in gone]
    else:
        left = []
    place[attribute.name] = [one for one in left if one]
    if not place[attribute.name]:
        del place[attribute.name]


def _picked(place: Resource, attribute: Attribute, sub: Attribute | None, picked: Filter | None, value: Any) -> None:
    values = place.get(attribute.name, [])
    found = [number for number, one in enumerate(values) if picked is None or holds_of(picked, attribute, one)]
    given = value if sub is None else {sub.name: value}
    if not found:
        # Entra ID replaces `emails[type eq "work"].value` where there is none yet.
        asked = simple(picked)
        known = sub_of(attribute, asked[0]) if asked is not None else None
        if asked is None or known is None:
            raise ScimError(Kind.NO_TARGET, f"no value of `{attribute.name}` is as the path says")
        values, found = [*values, {known.name: asked[1]}], [len(values)]
    if sub is None and not isinstance(given, dict):
        raise invalid(f"`{attribute.name}` must be an object")
    changed = [{**one, **given} if number in found else one for number, one in enumerate(values)]
    if isinstance(given, dict) and given.get("primary") is True:
        others = [one for number, one in enumerate(changed) if number not in found]
        kept = iter(_one_primary(others, [given]))
        changed = [one if number in found else next(kept) for number, one in enumerate(changed)]
    place[attribute.name] = clean(attribute, changed)
    if not place[attribute.name]:
        del place[attribute.name]
