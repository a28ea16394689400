"""A canary outside of every store, and a world of doors and drivers for the attacks to go through."""

import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

import lstore
from fixtures.canary import watched_canary
from fixtures.images.layout import Layer
from fixtures.namespaces import in_mount_namespace
from layerstore.errors import LstoreError
from layerstore.snapshot.overlay import attach
from lstore.engine.engine import Engine
from lstore.engine.fsck import fsck
from lstore.engine.open_image import open_image
from tests.hostile.doors import DOORS, Place

APPLIED = "applied"
DRIVERS = ("erofs", "directory")
SECONDS = 30
"""Far more than any attack takes with its defence, far less than it takes without."""
MEMORY = 256 << 20
"""Bytes by which the most resident memory may grow over all attacks of a test."""


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory outside of every root filesystem; at the end it must be what it was, to the times of change."""
    with watched_canary(tmp_path / "canary") as outside:
        yield outside


@contextmanager
def bounded() -> Iterator[None]:
    """Fail what takes too long or too much memory."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise AssertionError(f"not done after {SECONDS} seconds")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < MEMORY, f"{grown} bytes"


class World:
    """One store behind one door; `outcome` sends an attack in and says what became of it."""

    def __init__(self, door: str, driver: str, directory: Path) -> None:
        self.door = door
        self.engine: Engine = lstore.open(str(directory / "store"), driver=driver)
        self._directory = directory
        self._count = 0
        self.turn = [*DOORS].index(door)

    def outcome(self, layers: Sequence[Layer], check: Callable[[Path], object] | None = None) -> str:
        """The refusal's class, or `APPLIED`; then `check` is called with the mounted tree."""
        self._count += 1
        scratch = self._directory / str(self._count)
        scratch.mkdir()
        before = self.engine.store.refs.read()
        refusal: LstoreError | None = None
        try:
            with bounded():
                name = DOORS[self.door](Place(self.engine, scratch), layers)
        except LstoreError as error:
            refusal = error
        if refusal is not None:
            assert "\n" not in refusal.message
            assert self.engine.store.refs.read() == before, refusal.message
            return type(refusal).__name__
        if check is not None:
            self._mounted(name, check)
        return APPLIED

    def assert_consistent(self) -> None:
        """The store breaks none of its promises."""
        assert fsck(self.engine).damages == ()

    def _mounted(self, name: str, check: Callable[[Path], object]) -> None:
        with open_image(self.engine, name) as image:
            stack = self.engine.snapshotter.view(image.config.diff_ids)
        target = self._directory / "mounted"
        target.mkdir(exist_ok=True)

        def body() -> None:
            attach(stack, str(target))
            check(target)

        in_mount_namespace(body)


@pytest.fixture(params=[f"{door}-{driver}" for door in DOORS for driver in DRIVERS])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Each door with each driver."""
    door, _, driver = request.param.rpartition("-")
    return World(door, driver, tmp_path)
