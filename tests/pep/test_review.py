"""What a second reader found, each kept as a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import remit
from remit.cli import verbs
from remit.cli.main import app
from remit.local.wiring import Embedded
from remit.model.errors import RemitError
from remit.model.task import Scope
from remit.runtime.narrowing import narrow_scope

if not app.registered_commands:
    verbs.register(app)


@remit.guard
def fetch(url: str) -> str:
    return "from outside"


def test_a_new_session_of_a_task_goes_on_with_what_the_task_has_touched(embedded: Embedded) -> None:
    with remit.task("fetch the menu", agent="bot") as first:
        fetch("https://menu.example")
        assert first.task is not None
        with remit.task(resume=first.task.id) as again:
            assert again.session is not None and again.session.reached.sources == ("fetch",)
            assert len(embedded.store.observations(again.session.id)) == 1


def test_what_cannot_be_shown_counts_at_its_worst(embedded: Embedded) -> None:
    class Page:
        """An object that does not show what it holds."""

    @remit.guard(tool="pages")
    def pages() -> Iterator[Page]:
        yield Page()

    @remit.guard(unguarded=("out",))
    def fill(out: list[str]) -> None:
        out.append("from outside")

    for act, tool in ((lambda: list(pages()), "pages"), (lambda: fill([]), "fill")):
        with remit.task("look", agent="bot") as entered:
            act()
            assert entered.session is not None
            stored = embedded.store.session(entered.session.id)
            assert stored is not None and stored.reached.sources == (tool,)


def test_a_scope_of_tools_is_no_leave_for_other_actions(embedded: Embedded) -> None:
    @remit.guard(action="file.delete", resource="path")
    def delete(path: str) -> None:
        pytest.fail("it ran")

    @remit.guard(action="net.request", resource="host")
    def ask(host: str) -> None:
        pytest.fail("it ran")

    with remit.task("work", agent="bot", scope=Scope(tools=("fetch",))), pytest.raises(remit.Denied):
        delete("/tmp/x")
    with remit.task("work", agent="bot", scope=Scope(destinations=("@corp.example",))), pytest.raises(remit.Denied):
        ask("evil.example")


@pytest.mark.parametrize(
    ("asked", "bound"),
    [
        (Scope(destinations=("evil@evil.example,x@corp.example",)), Scope(destinations=("@corp.example",))),
        (Scope(resources=("/data/*.txt",)), Scope(resources=("/data/?.txt",))),
        (Scope(resources=("/data/../etc/",)), Scope(resources=("/data/",))),
    ],
)
def test_a_scope_that_is_wider_in_disguise_is_refused(asked: Scope, bound: Scope) -> None:
    with pytest.raises(RemitError, match="wider"):
        narrow_scope(asked, [bound])


def test_the_key_that_is_given_is_the_key_that_is_checked(embedded: Embedded, tmp_path: Path) -> None:
    embedded.head.sign()
    runner = CliRunner()
    assert runner.invoke(app, ["log", "verify"]).exit_code == 0
    other = "remit.local/log+00000000+ATExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx"
    wrong = runner.invoke(app, ["log", "verify", "--key", other])
    assert wrong.exit_code != 0


def test_an_error_says_no_more_than_a_result_may(entered: Embedded) -> None:
    @remit.guard
    def account() -> None:
        raise ValueError('{"password": "hunter2"}')

    with pytest.raises(Exception, match="withheld") as caught:
        account()
    assert "hunter2" not in str(caught.value) and caught.value.__cause__ is None
