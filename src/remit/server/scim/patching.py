"""Changes to a resource (RFC 7644, section 3.5.2), as the standard has them and as Entra ID and Okta send them."""

from typing import Any

from remit.server.scim.bounds import AT_ONCE, CLEANING, Work
from remit.server.scim.errors import Kind, ScimError, invalid, too_long
from remit.server.scim.paths import Filter, Path, holds_of, read_path, simple, terms_of
from remit.server.scim.schemas import Attribute, ResourceType, attribute_of, sub_of
from remit.server.scim.values import MAX_VALUES, Resource, clean, distinct, key_of, place_of, put, tidy

SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MAX_OPERATIONS = 1000
_OPERATIONS = ("add", "replace", "remove")


def patched(kind: ResourceType, resource: Resource, sent: dict[str, Any]) -> Resource:
    """The resource once all is done that was asked for; the one given, as `kept` makes it, stays as it is. Raises `ScimError`."""
    members = {name.lower(): value for name, value in sent.items()}
    operations = members.get("operations")
    schemas = members.get("schemas")
    if not isinstance(schemas, list) or SCHEMA not in schemas or not isinstance(operations, list) or not operations:
        raise ScimError(Kind.INVALID_SYNTAX, f"the body must be a `{SCHEMA}` with `Operations`")
    if len(operations) > MAX_OPERATIONS:
        raise too_long(f"more than {MAX_OPERATIONS} operations: send them in parts")
    patch = _Patch(kind, resource)
    for one in operations:
        if not isinstance(one, dict):
            raise ScimError(Kind.INVALID_SYNTAX, "an operation must be an object")
        patch.operate({name.lower(): value for name, value in one.items()})
    return patch.resource


class _Patch:
    """The operations of one request, done one after the other on a copy of a resource. All it has is clean, and stays so."""

    def __init__(self, kind: ResourceType, resource: Resource) -> None:
        self._kind = kind
        self.resource: Resource = {name: _copied(value) for name, value in resource.items()}
        advice = "so many operations, or such long filters, on so many values: send them in parts, or the whole by PUT"
        self._work = Work(too_long(advice))
        self._keys: dict[str, set[str]] = {}
        """Of attributes to which the last operation on them has added: the keys of their values."""

    def operate(self, one: dict[str, Any]) -> None:
        """Do one of them. Raises `ScimError`."""
        operation, path, value = _parts_of(one)
        if path and not (self._kind.extension is not None and path.lower() == self._kind.extension.id.lower()):
            self._at(operation, read_path(path), value)
            return
        if path and self._kind.extension is not None:  # the extension as a whole
            if operation == "remove":
                self.resource.pop(self._kind.extension.id, None)
                return
            value = {self._kind.extension.id: value}
        if operation == "remove":
            raise ScimError(Kind.NO_TARGET, "what is removed must be named by `path`")
        if not isinstance(value, dict):
            raise invalid("without `path`, `value` must be an object")
        for name, inner in value.items():
            if name.lower() == "schemas":
                continue
            if self._kind.extension is not None and name.lower() == self._kind.extension.id.lower():
                if not isinstance(inner, dict):
                    raise invalid(f"`{name}` must be an object")
                for sub, part in inner.items():
                    self._at(operation, read_path(f"{self._kind.extension.id}:{sub}"), part)
            else:  # members may be paths themselves: `emails[type eq "work"].value`
                place = read_path(name)
                attribute = attribute_of(self._kind, place.what.schema, place.what.name)
                if attribute is not None and attribute.mutability != "readOnly":  # else it is passed over, as in a whole resource
                    self._at(operation, place, inner)

    def _at(self, operation: str, path: Path, value: Any) -> None:
        kind, resource = self._kind, self.resource
        attribute = attribute_of(kind, path.what.schema, path.what.name)
        if attribute is None or attribute.name == "schemas":
            return  # it is none that is kept, or follows from what is
        if attribute.mutability == "readOnly":
            raise ScimError(Kind.MUTABILITY, f"`{attribute.name}` cannot be written")
        sub = sub_of(attribute, path.what.sub) if path.what.sub else None
        if path.what.sub and sub is None:
            return
        place = place_of(resource, kind, path.what.schema, make=True)
        if not attribute.multi:
            _single(kind, place, operation, attribute, sub, value)
        elif operation == "add" and path.picked is None and sub is None:
            self._add(place, attribute, value)
        else:
            self._keys.pop(attribute.name, None)
            values = place.get(attribute.name, [])
            self._work.spend(CLEANING * (len(value) if isinstance(value, list) else 1))
            named = _named(attribute, path.picked, value) if operation == "remove" and sub is None else None
            self._work.spend(len(values) // AT_ONCE if named else len(values) * (1 + terms_of(path.picked)))
            if named is not None:
                left = [one for one in values if one.get(named[0]) not in named[1]]
            elif operation == "remove":
                left = _left(values, attribute, sub, path.picked)
            elif path.picked is not None or sub is not None:
                left = self._picked(values, attribute, sub, path.picked, value)
            else:
                left = clean(attribute, value) or []
            _put_values(place, attribute, left)
        tidy(resource, kind)

    def _add(self, place: Resource, attribute: Attribute, value: Any) -> None:
        before = place.get(attribute.name, [])
        self._work.spend(CLEANING * (len(value) if isinstance(value, list) else 1))
        values = clean(attribute, value) or []
        if any(isinstance(one, dict) and one.get("primary") for one in values):
            self._keys.pop(attribute.name, None)
            before = _without_primary(before)
        keys = self._keys.get(attribute.name)
        if keys is None:
            self._work.spend(len(before))
            before = list(before)
            keys = self._keys[attribute.name] = {key_of(one) for one in before}
        for one in values:
            if (key := key_of(one)) not in keys:
                keys.add(key)
                before.append(one)
        _put_values(place, attribute, before)

    def _picked(
        self, values: list[Any], attribute: Attribute, sub: Attribute | None, picked: Filter | None, value: Any
    ) -> list[Any]:
        """The values, those that are picked with what is given."""
        found = {number for number, one in enumerate(values) if picked is None or holds_of(picked, attribute, one)}
        given = value if sub is None else {sub.name: value}
        if not found:
            # Entra ID replaces `emails[type eq "work"].value` where there is none yet.
            asked = simple(picked)
            known = sub_of(attribute, asked[0]) if asked is not None else None
            if asked is None or known is None:
                raise ScimError(Kind.NO_TARGET, f"no value of `{attribute.name}` is as the path says")
            values, found = [*values, {known.name: asked[1]}], {len(values)}
        if not isinstance(given, dict):
            raise invalid(f"`{attribute.name}` must be an object")
        self._work.spend(CLEANING * len(found) + len(values))
        if given.get("primary") is True:
            others = iter(_without_primary([one for number, one in enumerate(values) if number not in found]))
            values = [one if number in found else next(others) for number, one in enumerate(values)]
        changed = iter([_cleaned(attribute, {**values[number], **given}) for number in sorted(found)])
        return distinct(one for number, was in enumerate(values) if (one := next(changed) if number in found else was))


def _parts_of(one: dict[str, Any]) -> tuple[str, str | None, Any]:
    """What is done, where, and with which value. Raises `ScimError`."""
    operation, path = one.get("op"), one.get("path")
    operation = operation.lower() if isinstance(operation, str) else ""  # Entra ID sends `Replace`
    if operation not in _OPERATIONS:
        raise ScimError(Kind.INVALID_SYNTAX, f"`op` must be one of {', '.join(_OPERATIONS)}")
    if path is not None and not isinstance(path, str):
        raise ScimError(Kind.INVALID_PATH, "`path` must be a text")
    if operation != "remove" and "value" not in one:
        raise invalid(f"`{operation}` needs a `value`: `null` takes away what there is")
    return operation, path, one.get("value")


def _copied(value: Any) -> Any:
    """A value that can be written in place: no more of it ever is than its first level."""
    return list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value


def _put_values(place: Resource, attribute: Attribute, values: list[Any]) -> None:
    if len(values) > MAX_VALUES:
        raise invalid(f"`{attribute.name}` has more than {MAX_VALUES} values: keep fewer")
    place[attribute.name] = values
    if not values:
        del place[attribute.name]


def _cleaned(attribute: Attribute, value: Any) -> Any:
    """One value as it is kept, empty for none."""
    return next(iter(clean(attribute, [value])), None)


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


def _without_primary(values: list[Any]) -> list[Any]:
    """The values, none of which is primary any more: one that comes is."""
    return [{**one, "primary": False} if isinstance(one, dict) and one.get("primary") else one for one in values]


def _named(attribute: Attribute, picked: Filter | None, value: Any) -> tuple[str, set[Any]] | None:
    """The sub-attribute, and what it is of those that are removed, where they are named one by one; None where they are not."""
    if picked is None:  # Entra ID names the members that leave by `value`
        return None if value is None else ("value", {one.get("value") for one in clean(attribute, value)})
    asked = simple(picked)
    sub = sub_of(attribute, asked[0]) if asked is not None else None
    if asked is None or sub is None or not sub.exact or not isinstance(asked[1], str):
        return None
    return sub.name, {asked[1]}


def _left(values: list[Any], attribute: Attribute, sub: Attribute | None, picked: Filter | None) -> list[Any]:
    """What is left of values once some of them are removed, or a part of them."""
    if sub is not None:
        left = [
            {name: part for name, part in one.items() if name != sub.name}
            if picked is None or holds_of(picked, attribute, one)
            else one
            for one in values
        ]
    elif picked is not None:
        left = [one for one in values if not holds_of(picked, attribute, one)]
    else:
        left = []
    return [one for one in left if one]
