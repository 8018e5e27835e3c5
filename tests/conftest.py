"""Fixtures of all tests: a clock that is set by hand, a small bundle, stores in a folder of the test's own."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from remit.local import entering
from remit.pap.contents import Bundle
from tests.places import in_memory, on_disk
from tests.postgres import Server, served
from tests.runtime.world import Clock, World, small_bundle

for name in ("COLUMNS", "LINES"):  # of no terminal: the readline library of the process that started this one leaves them behind
    os.environ.pop(name, None)
if folder := in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))

OpenStore = Callable[..., World]
StoreUrl = Callable[..., str]


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own: in memory where there is room, on the disk for what is marked as being about one."""
    if request.node.get_closest_marker("disk"):
        with on_disk() as folder:
            yield folder
    else:
        yield tmp_path


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test sets it."""
    return Clock()


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The small bundle."""
    return small_bundle()


STORES = ("sqlite", "postgresql")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for each processor, since tests mostly wait; none for one file, and none where the terminal is the test's."""
    one = [Path(name.partition("::")[0]).suffix == ".py" for name in config.args] == [True]
    if one or config.option.capture == "no" or config.option.collectonly:
        return 0
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever opens a store is run on every kind of store; what is about one of them says so by a mark of its name."""
    if "store_kind" in metafunc.fixturenames:
        marked = [kind for kind in STORES if metafunc.definition.get_closest_marker(kind)]
        metafunc.parametrize("store_kind", marked or STORES, scope="session")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    with served() as started:
        yield started


@pytest.fixture
def store_url(store_kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreUrl]:
    """Where the store `name` of this test is; that of `store` is in REMIT_STORE, for the command line and for other processes."""
    made: dict[str, str] = {}

    def url(name: str = "store") -> str:
        if store_kind == "sqlite":
            return ""
        server: Server = request.getfixturevalue("server")
        if name not in made:
            made[name] = server.database()
        return server.url(made[name])

    if store_kind == "sqlite":
        monkeypatch.delenv("REMIT_STORE", raising=False)
    else:
        monkeypatch.setenv("REMIT_STORE", url())
    yield url
    for database in made.values():
        request.getfixturevalue("server").give_back(database)


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock, store_url: StoreUrl) -> Iterator[OpenStore]:
    """Opens the store `name` of this test (`again` as another process would: without publishing anything); closes all at the end."""
    opened: list[World] = []

    def open_(
        name: str = "store", *, again: bool = False, bundle: Bundle | None = None, clock: Clock = clock, lock_seconds: float = 2.0
    ) -> World:
        world = World(tmp_path / name, clock, lock_seconds, store_url(name))
        opened.append(world)
        if not again:
            world.publish(bundle or small_bundle())
            world.register()
        return world

    yield open_
    for world in opened:
        if world.embedded._open and not world.tampered:
            world.faithful()  # whatever a test did: asked again, it is decided as it was
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
