"""A message that is not what is asked for: the members and the values that there are."""

import msgspec
import pytest
from msgspec import inspect

from remit.server.routes import OPERATIONS
from remit.server.wanted import explained

KINDS = {one.body.__name__: one.body for one in OPERATIONS if one.body is not None and issubclass(one.body, msgspec.Struct)}
STRICT = {name: kind for name, kind in KINDS.items() if kind.__struct_config__.forbid_unknown_fields}


def said(value: object, kind: type) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, kind)
    return explained(caught.value, kind)


@pytest.mark.parametrize("kind", STRICT.values(), ids=STRICT)
def test_a_member_that_there_is_not_is_answered_with_those_that_there_are(kind: type) -> None:
    told, shape = said({"no such": 1}, kind), inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType) and "unknown field `no such`" in told
    assert all(f"`{field.encode_name}`" in told for field in shape.fields) and ("its members are" in told) == bool(shape.fields)


def test_a_value_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    kill = next(one.body for one in OPERATIONS if (one.method, one.path) == ("POST", "/v1/kills"))
    token = next(one.body for one in OPERATIONS if one.path.startswith("/v1/operators/"))
    assert kill is not None and token is not None
    assert said({"kind": "agents", "why": "x"}, kill).endswith("give one of `agent`, `task`, `task-type`, `tool`, `all`")
    assert "`approver`, `reviewer`" in said({"roles": ["boss"]}, token), "within a list"
    assert "give one of" not in said({"roles": 3}, token)


class Odd(msgspec.Struct, forbid_unknown_fields=True):
    """What no message of ours is, and may become."""

    inner: "dict[str, Odd | None]" = {}


def test_what_cannot_be_found_is_told_as_it_is() -> None:
    """A name that a caller made up leads nowhere, or to other members of the same message: never to a fault."""
    assert said({"inner": {"a": {"x": 1}}}, Odd).endswith("its members are `inner`")
    for name in ("x` - at `$.inner", "` - at `$[", "$", "", "\n` - at `$.a.b.c`"):
        assert said({name: 1}, Odd).startswith("Object contains unknown field")
