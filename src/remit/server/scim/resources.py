"""People and groups as resources of SCIM, and back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from remit.inventory.people import checked_person
from remit.model.identity import new_id
from remit.model.person import Email, GroupId, PeopleGroup, Person, PersonId, PersonStatus
from remit.server.scim.errors import invalid
from remit.server.scim.schemas import CORE_GROUP, CORE_USER, ENTERPRISE, GROUP, USER, ResourceType
from remit.server.scim.values import Resource

SCIM = "scim:"
"""What the source of people is called whom a service provisions, before the service's name: none sees or touches another's."""
_ID_DIGITS = 12


def user_of(person: Person, base: str, groups: Iterable[PeopleGroup] = ()) -> Resource:
    """A person as a user."""
    resource: Resource = {
        "schemas": [CORE_USER],
        "id": person.id,
        "userName": person.user_name,
        "active": person.status is PersonStatus.ACTIVE,
    }
    if person.external_id:
        resource["externalId"] = person.external_id
    if person.name:
        resource["displayName"] = person.name
    if person.emails:
        resource["emails"] = [_email(one) for one in person.emails]
    if found := [{"value": one.id, "display": one.name} for one in groups]:
        resource["groups"] = found
    if person.manager:
        resource["schemas"].append(ENTERPRISE)
        resource[ENTERPRISE] = {"manager": _reference(base, person.manager)}
    resource["meta"] = _meta(USER, base, person.id, person.version, person.seen or person.since)
    return resource


def _email(one: Email) -> dict[str, Any]:
    told = {"value": one.value, "type": one.type or None, "primary": one.primary}
    return {name: value for name, value in told.items() if value is not None}


def _reference(base: str, value: str) -> dict[str, str]:
    """Somebody who is named by an id of ours, with where they are; else by what the service calls them."""
    return {"value": value, "$ref": f"{base}{USER.endpoint}/{value}"} if value.startswith("per_") else {"value": value}


def person_of(resource: Mapping[str, Any], sent: Mapping[str, Any], source: str, now: int) -> Person:
    """The person that a user is; of `sent`, the resource as it came, only what stands in for a missing display name. Raises `ScimError`."""
    name = resource.get("displayName") or _formatted(sent)
    given = [one for one in resource.get("emails", ()) if "value" in one]
    emails = tuple([Email(one["value"], one.get("type", ""), one.get("primary")) for one in given])
    if sum(one.primary is True for one in emails) > 1:
        raise invalid("at most one address is the primary one")
    status = PersonStatus.ACTIVE if resource.get("active", True) else PersonStatus.INACTIVE
    person = Person(
        PersonId(new_id("per", now)),
        source,
        resource.get("userName", ""),
        resource.get("externalId", ""),
        name=name,
        emails=emails,
        manager=resource.get(ENTERPRISE, {}).get("manager", {}).get("value", ""),
        status=status,
        since=now,
        seen=now,
    )
    return checked_person(person)


def _formatted(sent: Mapping[str, Any]) -> str:
    """The name of somebody who has no display name, by the parts of it that came."""
    parts = next((value for name, value in sent.items() if name.lower() == "name"), None)
    if not isinstance(parts, dict):
        return ""
    given = {name.lower(): value.strip() for name, value in parts.items() if isinstance(value, str)}
    return given.get("formatted") or " ".join(filter(None, [given.get("givenname", ""), given.get("familyname", "")]))


def as_before(before: Person, said: Person, resource: Mapping[str, Any]) -> Person:
    """What a resource says of a person who is known. Whether they may act is as before where it says nothing of that."""
    status = said.status if "active" in resource else before.status
    return replace(said, id=before.id, also=before.also, groups=before.groups, status=status)


def group_of(group: PeopleGroup, base: str) -> Resource:
    """A group as a resource."""
    resource: Resource = {"schemas": [CORE_GROUP], "id": group.id, "displayName": group.name}
    if group.external_id:
        resource["externalId"] = group.external_id
    if group.members:
        resource["members"] = [_reference(base, member) for member in group.members]
    resource["meta"] = _meta(GROUP, base, group.id, group.version, group.changed)
    return resource


def people_group_of(resource: Mapping[str, Any], source: str, now: int) -> PeopleGroup:
    """The group that a resource is. Raises `ScimError`."""
    name = resource.get("displayName", "")
    if not name or len(name) > 256 or not name.isprintable():
        raise invalid("a group needs a `displayName` of at most 256 printable characters")
    external = resource.get("externalId", "")
    if len(external) > 256 or not external.isprintable():
        raise invalid("`externalId` has at most 256 printable characters")
    members = [one["value"] for one in resource.get("members", ()) if "value" in one]
    return PeopleGroup(GroupId(new_id("grp", now)), source, name, external, tuple(dict.fromkeys(map(PersonId, members))), now)


def _meta(kind: ResourceType, base: str, name: str, version: int, changed: int) -> dict[str, Any]:
    digits = name.partition("_")[2][:_ID_DIGITS]  # an id begins with the millisecond it was made in
    return {
        "resourceType": kind.name,
        "created": _time(int(digits, 16) * 1000),
        "lastModified": _time(changed),
        "location": f"{base}{kind.endpoint}/{name}",
        "version": etag(version),
    }


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'W/"{version}"'


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1000 / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
