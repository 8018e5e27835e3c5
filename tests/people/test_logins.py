"""What tokens say of their holders, over HTTP: whoever has left stays so, and nobody makes another gone or bars them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from remit.local.people import Import
from remit.local.wiring import wall_clock
from remit.model.decision import Deny
from remit.runtime.people import all_people, erase_person
from tests.conftest import OpenStore
from tests.runtime.world import ANA
from tests.server.idp import ISSUER, Idp
from tests.server.serving import Answer, served
from tests.server.test_identity import CONFIG, Net

pytestmark = pytest.mark.sqlite
SOURCE = "file:csv"


BARE = CONFIG.replace('name_claim = "name"', 'name_claim = "sub"')


@pytest.fixture
def config() -> str:
    return BARE + "[issuers.people]\n"


@pytest.fixture
def net(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str) -> Iterator[Net]:
    world, idp = open_store("home", clock=wall_clock), Idp()
    (tmp_path / "home" / "config.toml").write_text(config)
    idp.publish(tmp_path / "home" / "idp.json")
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    with served(tmp_path, dev=False) as client:
        yield Net(client, world, idp, world.open_session(world.open_task()))


def tell(net: Net, *lines: str, source: str = SOURCE) -> None:
    said = "\n".join(("id,user_name,email,active,names", *lines, "")).encode()
    Import(said, source, whole=False, most=100).apply(net.world.embedded, ANA)


def seen(net: Net, subject: str, group: str = "admins", **claims: object) -> Answer:
    return net.get("/v1/agents", net.token(subject, groups=[group], **claims))


def names(net: Net, subject: str) -> frozenset[str]:
    return next((one.names for one in all_people(net.world.store, "") if one.external_id == subject), frozenset())


def test_who_has_left_is_let_in_by_no_colleagues_name(net: Net) -> None:
    tell(net, "1,ben,ben@corp.com,true,", "2,kim,kim@corp.com,true,")
    assert seen(net, "ben", preferred_username="ben").status == 200
    tell(net, "1,ben,ben@corp.com,false,")
    before = names(net, "ben")
    for claims in (
        {"preferred_username": "kim"},
        {"email": "KIM@corp.com"},
        {"email": "kim@corp.com", "email_verified": True},
        {"preferred_username": "ben"},
    ):
        refused = seen(net, "ben", **claims)
        assert refused.status == 403 and "`ben` is gone" in refused.body["detail"], claims
        assert seen(net, "new", preferred_username="ben", **{k: v for k, v in claims.items() if k == "email"}).status == 403
    assert names(net, "ben") == before and not names(net, "new"), "whoever is gone is remembered by nothing new"
    assert seen(net, "00uK", group="doors", preferred_username="BEN").status == 403, "enforcement points, too"
    assert seen(net, "kim").status == 200


def test_nobody_makes_another_gone_or_bars_them_by_what_they_claim(net: Net) -> None:
    tell(net, "1,ben,ben@corp.com,true,", "2,kim,kim@corp.com,true,")
    tell(net, "9,olduser,olduser@corp.com,false,", source="file:leavers")
    assert seen(net, "kim").status == 200
    seen(net, "mallory", "audit", preferred_username="kim", email="olduser@corp.com", email_verified=True)
    assert seen(net, "kim").status == 200
    denied = net.world.ask(net.session, "wipe", {"table": "t"})
    assert isinstance(denied, Deny) and denied.approval is not None
    for name in ("kim", "ben"):
        assert seen(net, "mallory", "audit", preferred_username=name).status == 200
    assert {"kim", "mallory"} < names(net, "mallory") and "ben" not in names(net, "mallory"), "the directory has two"
    assert seen(net, "eve", "audit", preferred_username="kim", email="ben@corp.com", email_verified=True).status == 200
    assert "kim" in names(net, "eve") and "ben@corp.com" not in names(net, "eve")
    path, answer = f"/v1/approvals/{denied.approval}/answer", {"approve": True}
    assert net.post(path, answer, net.token("mallory2", groups=["approvers"], preferred_username="ben")).status == 403
    assert net.post(path, answer, net.token("kim", groups=["approvers"])).status == 200


@pytest.mark.parametrize("config", [BARE])
def test_whom_a_source_has_by_issuer_and_subject_is_one_with_the_holder(net: Net) -> None:
    tell(net, f"1,ben,,true,{ISSUER}#00u7", f"2,carl,,true,{ISSUER}#00u8")
    denied = net.world.ask(net.session, "wipe", {"table": "t"})
    assert isinstance(denied, Deny) and denied.approval is not None
    path, ben, carl = (
        f"/v1/approvals/{denied.approval}/answer",
        *[net.token(one, groups=["approvers"]) for one in ("00u7", "00u8")],
    )
    refused = net.post(path, {"approve": True}, ben)
    assert refused.status == 403 and "four eyes" in refused.body["detail"], "ben owns the agent"
    assert names(net, "00u7") == {"00u7", f"{ISSUER}#00u7"}
    assert seen(net, "stranger").status == 200 and not names(net, "stranger"), "of others nothing is kept"
    assert net.post(path, {"approve": True}, carl).status == 200
    tell(net, f"1,ben,,false,{ISSUER}#00u7", f"2,carl,,false,{ISSUER}#00u8")
    assert [seen(net, one).status for one in ("00u7", "00u8")] == [403, 403]
    again = net.world.ask(net.session, "wipe", {"table": "t"})
    assert isinstance(again, Deny), "carl approved as `00u8`, and has left"


def test_whoever_was_erased_once_they_had_gone_is_not_served_again(net: Net) -> None:
    """Their issuer gives them tokens still; every record of theirs is erased, that of their logins too."""
    tell(net, f"1,ben,ben@corp.com,true,{ISSUER}#00u7", "2,kim,kim@corp.com,true,")
    assert seen(net, "00u7", preferred_username="ben").status == 200
    tell(net, f"1,ben,ben@corp.com,false,{ISSUER}#00u7")
    for one in all_people(net.world.store, ""):
        if "00u7" in one.names or one.user_name == "ben":
            erase_person(net.world.runtime, one.id, ANA).result()
    for claims in ({}, {"preferred_username": "ben"}, {"preferred_username": "kim"}, {"email": "ben@corp.com"}):
        refused = seen(net, "00u7", **claims)
        assert refused.status == 403 and "is gone" in refused.body["detail"], claims
    assert seen(net, "new", preferred_username="ben").status == 403, "nor anybody who goes by their name"
    assert seen(net, "kim").status == 200 and not names(net, "00u7")
    tell(net, "1,ben,ben@corp.com,true,")
    assert seen(net, "00u7", preferred_username="ben").status == 200, "their source has them again"


@pytest.mark.parametrize("config", [BARE])
@pytest.mark.parametrize("who", ["ana", "ben"])
def test_whoever_comes_to_be_known_as_the_asker_after_they_approved_has_approved_nothing(net: Net, who: str) -> None:
    """Nobody knew the approver by more than a token; now the directory says whose that is: who opened the task's, or the agent's owner's."""
    denied = net.world.ask(net.session, "wipe", {"table": "t"})
    assert isinstance(denied, Deny) and denied.approval is not None
    path = f"/v1/approvals/{denied.approval}"
    assert net.post(f"{path}/answer", {"approve": True}, net.token("00u9", groups=["approvers"])).status == 200
    assert names(net, "00u9") == {"00u9", f"{ISSUER}#00u9"}, "whoever acts is on record by both"
    assert net.get(path, net.token("00uX", groups=["approvers"])).body["lapsed"] == "" and not names(net, "00uX"), (
        "whoever looks is not"
    )
    tell(net, f"1,{who},,true,{ISSUER}#00u9")
    again = net.world.ask(net.session, "wipe", {"table": "t"})
    assert isinstance(again, Deny) and f"approval `{denied.approval}` does not count any more" in again.message
    assert "`00u9` opened the task" in net.get(path, net.token("00uX", groups=["approvers"])).body["lapsed"]
