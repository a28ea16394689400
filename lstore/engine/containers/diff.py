"""`diff` of one container: what it has otherwise than its image."""

from __future__ import annotations

import os

from layerstore.layer.diff import diff
from layerstore.oci.digest import Digest
from layerstore.value import Value
from lstore.engine.containers.insides import upper_of
from lstore.engine.containers.look import look
from lstore.engine.containers.mount_points import own_changes
from runner.visit import visit_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine

_MAX_LIST = 1 << 30


class ContainerChange(Value):
    """One path that the container has otherwise than its image: docker's letter A, C or D, and the path."""

    letter: str
    path: bytes


def container_changes(engine: Engine, text: str) -> list[ContainerChange]:
    """What the container changed, sorted by path. Raises `NotFound`, `StorageError`, `LaunchError`."""
    container = look(engine, text)
    reader, writer = os.pipe()
    found: list[ContainerChange] = []

    def write(upper: int, lower: int, userxattr: bool) -> None:
        os.close(reader)
        with open(writer, "wb") as out:
            for change in own_changes(diff(upper, lower, userxattr=userxattr), lower):
                if change.entry.path:
                    out.write(change.kind.value.encode() + change.entry.path + b"\0")

    def collect() -> None:
        os.close(writer)
        with open(reader, "rb") as stream:
            for record in stream.read(_MAX_LIST).split(b"\0")[:-1]:
                found.append(ContainerChange(record[:1].decode(), b"/" + record[1:]))

    compare(engine, container, write, collect)
    return found


def compare(
    engine: Engine,
    container: Container,
    work: Callable[[int, int, bool], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Call `work` with the upper directory of the container and the merged lower, in a child that may read both.

    The third argument of `work` is whether overlayfs marks in attributes of users. What `work` changes in memory is
    lost; `meanwhile` is called here, for the other end of a pipe. Raises `LaunchError`, and what either raised.
    """
    stack = engine.snapshotter.mounts(container.config.id)
    written, attach = upper_of(container, stack)
    below = engine.snapshotter.view(tuple(map(Digest.parse, container.config.diff_ids)))

    def compare(lower: int) -> None:
        upper = os.open(written, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        work(upper, os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=lower), stack.userxattr)

    visit_stack(below, attach, container.home.file("view"), compare, meanwhile)
