"""Fixtures of all tests: a clock that is set by hand, a small bundle, stores in a folder of the test's own."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from remit.local import entering
from remit.pap.contents import Bundle
from tests.runtime.world import Clock, World, small_bundle

OpenStore = Callable[..., World]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test sets it."""
    return Clock()


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The small bundle."""
    return small_bundle()


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock) -> Iterator[OpenStore]:
    """Opens the store `name` of this test (`again` as another process would: without publishing anything); closes all at the end."""
    opened: list[World] = []

    def open_(
        name: str = "store", *, again: bool = False, bundle: Bundle | None = None, clock: Clock = clock, lock_seconds: float = 2.0
    ) -> World:
        world = World(tmp_path / name, clock, lock_seconds)
        opened.append(world)
        if not again:
            world.publish(bundle or small_bundle())
            world.register()
        return world

    yield open_
    for world in reversed(opened):
        world.close()


@pytest.fixture
def world(open_store: OpenStore) -> World:
    """A store with the small bundle and one agent."""
    return open_store()


@pytest.fixture
def guarded(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same store, found by `remit.guard` and `remit.task`."""
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    for name in ("REMIT_TASK", "REMIT_AGENT"):
        monkeypatch.delenv(name, raising=False)
    world.enter_default()
    yield world
    entering._opened.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a test that skips fails: a component is missing that CI must have."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report
