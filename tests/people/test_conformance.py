"""SCIM as another's judge sees it: scim2-tester, asked of a real server over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from scim2_client.client import BaseSyncSCIMClient
from scim2_tester import Status, check_server

from remit.local.wiring import wall_clock
from tests.conftest import OpenStore
from tests.server.serving import Answer, Client, serving

pytestmark = pytest.mark.sqlite
BASE = "/scim/v2"


class Sent:
    """A response, as the judge's client reads one."""

    def __init__(self, answer: Answer) -> None:
        self.status_code, self.headers, self.text, self.content = answer.status, answer.headers, answer.text.decode(), answer.text

    def json(self) -> Any:
        return json.loads(self.text)


class Judge(BaseSyncSCIMClient):
    """The judge's client, over plain HTTP."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return "://" not in endpoint and ".." not in endpoint

    def _parse_json(self, response: Any) -> Any:
        return response.json()

    def request(self, method: str, url: str, **kwargs: Any) -> Sent:
        from urllib.parse import urlencode

        where = f"{BASE}{url if url.startswith('/') else '/' + url}".replace(
            f"{BASE}http://127.0.0.1:{self._client.port}{BASE}", BASE
        )
        if query := kwargs.get("params"):
            where += f"?{urlencode(query)}"
        body = json.dumps(kwargs["json"]).encode() if kwargs.get("json") is not None else None
        headers = {"Content-Type": "application/scim+json", **(kwargs.get("headers") or {})}
        return Sent(self._client.send(method, where, body, headers))


@pytest.fixture
def client(open_store: OpenStore) -> Iterator[Client]:
    with serving(open_store(clock=wall_clock).embedded) as client:
        yield client


def test_the_judge_finds_no_fault(client: Client) -> None:
    results = check_server(Judge(client))
    wrong = [
        f"{one.status.name} {one.title}: {one.reason}"
        for one in results
        if one.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)
    ]
    assert not wrong, "\n".join(wrong)
    done = [one for one in results if one.status is not Status.SKIPPED]
    assert len(done) > 40, len(done)
