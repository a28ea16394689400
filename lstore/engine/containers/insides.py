"""The root filesystem of a container that runs, or does not: one way in for cp, export, diff and commit."""

from __future__ import annotations

from contextlib import contextmanager

from layerstore.mount import Directory, MountStack
from layerstore.snapshot import overlay
from runner.visit import visit_running, visit_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lstore.engine.containers.upkeep import Container
    from lstore.engine.engine import Engine


def _nothing() -> None:
    return


def visit(
    engine: Engine,
    container: Container,
    work: Callable[[int], None],
    meanwhile: Callable[[], None] = _nothing,
) -> None:
    """Call `work`, in a child process, with a descriptor of the container's root; `meanwhile` is called here.

    While the container runs, what is mounted in it is there, too. Raises what `work` raises, as `LstoreError`,
    and what `meanwhile` raises.
    """
    if container.state.pid:
        visit_running(container.state, work, meanwhile)
        return
    with _held(container):
        stack = engine.snapshotter.mounts(container.config.id)
        visit_stack(stack, overlay.attach, container.home.file("rootfs"), work, meanwhile)


def view(
    engine: Engine,
    container: Container,
    work: Callable[[int], None],
    meanwhile: Callable[[], None] = _nothing,
) -> None:
    """As `visit`, but read-only and never with what is mounted."""
    stack = engine.snapshotter.mounts(container.config.id)
    below = MountStack((Directory(stack.upper or ""), *stack.lowers), userxattr=stack.userxattr)
    visit_stack(below, overlay.attach, container.home.file("view"), work, meanwhile)


@contextmanager
def _held(container: Container) -> Iterator[None]:
    """Nobody starts or removes the container meanwhile."""
    lock = container.home.lock()
    try:
        yield
    finally:
        lock.close()
