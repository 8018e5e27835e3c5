"""What is kept of users and groups: attributes as RFC 7643 defines them, and nothing else; what other attributes say is passed over."""

from functools import lru_cache
from typing import Any

import msgspec

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CORE_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


class Attribute(msgspec.Struct, frozen=True, cache_hash=True):
    """One attribute (RFC 7643, section 7): `subs` are those of a complex one, `refers` what a reference leads to."""

    name: str
    description: str
    type: str = "string"
    multi: bool = False
    required: bool = False
    exact: bool = False
    mutability: str = "readWrite"
    uniqueness: str = "none"
    refers: tuple[str, ...] = ()
    subs: tuple["Attribute", ...] = ()

    def described(self) -> dict[str, Any]:
        """As a schema tells of it."""
        told: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.multi,
            "description": self.description,
            "required": self.required,
            "mutability": self.mutability,
            "returned": "default",
        }
        if self.type == "complex":
            return {**told, "subAttributes": [sub.described() for sub in self.subs]}
        if self.type in ("string", "reference"):
            told["caseExact"] = self.exact
        if self.refers:
            told["referenceTypes"] = list(self.refers)
        return {**told, "uniqueness": self.uniqueness}


class Extension(msgspec.Struct, frozen=True, cache_hash=True):
    """A part of a resource under a schema of its own."""

    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    def described(self, base: str) -> dict[str, Any]:
        """The schema as it is published."""
        return {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "attributes": [one.described() for one in self.attributes],
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{self.id}"},
        }


class ResourceType(msgspec.Struct, frozen=True, cache_hash=True):
    """A kind of resource: where it is, its schema, and the one that extends it."""

    name: str
    endpoint: str
    core: Extension
    extension: Extension | None = None

    def described(self, base: str) -> dict[str, Any]:
        """The type as it is published."""
        told: dict[str, Any] = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": self.name,
            "name": self.name,
            "description": self.core.description,
            "endpoint": self.endpoint,
            "schema": self.core.id,
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{self.name}"},
        }
        if self.extension is not None:
            told["schemaExtensions"] = [{"schema": self.extension.id, "required": False}]
        return told


_READ_ONLY = "readOnly"
USER = ResourceType(
    "User",
    "/Users",
    Extension(
        CORE_USER,
        "User",
        "A person",
        (
            Attribute("userName", "how they log in", required=True, uniqueness="server"),
            Attribute("displayName", "how they are called"),
            Attribute(
                "active",
                "whether they may act; without it, as before, and of somebody new that they may",
                type="boolean",
                required=True,
            ),
            Attribute(
                "emails",
                "their addresses",
                type="complex",
                multi=True,
                subs=(
                    Attribute("value", "the address"),
                    Attribute("type", "what it is for"),
                    Attribute("primary", "whether it is the one to write to", type="boolean"),
                ),
            ),
            Attribute(
                "groups",
                "the groups they are in",
                type="complex",
                multi=True,
                mutability=_READ_ONLY,
                subs=(
                    Attribute("value", "the id of the group", mutability=_READ_ONLY, exact=True),
                    Attribute("display", "its name", mutability=_READ_ONLY),
                ),
            ),
        ),
    ),
    Extension(
        ENTERPRISE,
        "EnterpriseUser",
        "A person of an organization",
        (
            Attribute(
                "manager",
                "who manages them",
                type="complex",
                subs=(
                    Attribute("value", "the id of that user, or one of their names", exact=True),
                    Attribute("$ref", "where that user is", type="reference", exact=True, refers=("User",)),
                ),
            ),
        ),
    ),
)
GROUP = ResourceType(
    "Group",
    "/Groups",
    Extension(
        CORE_GROUP,
        "Group",
        "A group of people",
        (
            Attribute("displayName", "its name", required=True),
            Attribute(
                "members",
                "who is in it",
                type="complex",
                multi=True,
                subs=(
                    Attribute("value", "the id of a user", mutability="immutable", exact=True),
                    Attribute(
                        "$ref", "where that user is", type="reference", mutability="immutable", exact=True, refers=("User",)
                    ),
                ),
            ),
        ),
    ),
)
COMMON = (
    Attribute("schemas", "", multi=True, exact=True, mutability=_READ_ONLY),
    Attribute("id", "", exact=True, mutability=_READ_ONLY),
    Attribute("externalId", "", exact=True),
    Attribute(
        "meta",
        "",
        type="complex",
        mutability=_READ_ONLY,
        subs=(
            Attribute("resourceType", "", exact=True),
            Attribute("created", "", type="dateTime"),
            Attribute("lastModified", "", type="dateTime"),
            Attribute("location", "", exact=True),
            Attribute("version", "", exact=True),
        ),
    ),
)
"""What every resource has, which no schema lists (RFC 7643, section 3.1)."""


@lru_cache(1024)  # a filter asks it of every resource
def attribute_of(kind: ResourceType, schema: str, name: str) -> Attribute | None:
    """The attribute of this name, however it is written, in the schema of this name (empty for the core's); None if it is not kept."""
    wanted, urn = name.lower(), schema.lower()
    found: tuple[Attribute, ...] = ()
    if urn in ("", kind.core.id.lower()):
        found = (*COMMON, *kind.core.attributes)
    elif kind.extension is not None and urn == kind.extension.id.lower():
        found = kind.extension.attributes
    return next((one for one in found if one.name.lower() == wanted), None)


@lru_cache(1024)
def sub_of(attribute: Attribute, name: str) -> Attribute | None:
    """The sub-attribute of this name, however it is written."""
    return next((one for one in attribute.subs if one.name.lower() == name.lower()), None)


def provider(base: str, most: int) -> dict[str, Any]:
    """What is supported (RFC 7643, section 5)."""
    schemes = [
        {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "a token of Remit's own issuer (`remit operator token --role provisioner`), or of one that it believes",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
        }
    ]
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": most},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": schemes,
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }
