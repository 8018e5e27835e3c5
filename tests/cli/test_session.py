"""`remit session` and `remit log erase` as an operator types them: what is missing is said before anything happens."""

import pytest

from remit.model.errors import ErrorKind
from tests.cli.running import error, ok, run
from tests.runtime.world import World

pytestmark = pytest.mark.sqlite


def test_lowering_nothing_is_refused_before_anything_is_logged(guarded: World) -> None:
    session = guarded.open_session()
    before = len(guarded.entries())
    refused = error("session", "declassify", session.id, "--why", "x")
    assert refused.kind is ErrorKind.MALFORMED and "`--to`" in refused.message
    assert len(guarded.entries()) == before


def test_nobody_is_asked_to_erase_what_is_not_there(guarded: World) -> None:
    assert "there is no task `nope`" in error("log", "erase", "nope").message
    task = guarded.open_task()
    ok("task", "close", task.id)
    assert "for good?" in run("log", "erase", task.id, input="n\n").output
    assert "erased" in ok("log", "erase", task.id, "--yes")


def test_a_picture_is_an_svg(guarded: World) -> None:
    assert "`x.svg`" in error("eval", ".", "--picture", "x.png").message
