"""The root filesystem of a container that runs, or does not: one way in for cp, export, diff and commit."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial

from layerstore.mount import Directory, MountStack
from layerstore.snapshot import overlay
from runner import remap
from runner.child import nothing
from runner.visit import visit_running, visit_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine
    from runner.namespaces import IdMap

    Attach = Callable[[MountStack, str], None]


def visit(
    engine: Engine,
    container: Container,
    work: Callable[[int], None],
    meanwhile: Callable[[], None] = nothing,
) -> None:
    """Call `work`, in a child process, with a descriptor of the container's root; `meanwhile` is called here.

    While the container runs, what is mounted in it is there, too. Raises what `work` raises, as `LstoreError`,
    and what `meanwhile` raises.
    """
    if container.state.pid:
        visit_running(container.state, work, meanwhile)
        return
    attach: Attach = overlay.attach
    ids = ids_of(container)
    if ids is not None:
        attach = partial(remap.attach, ids, attach)
        work = partial(remap.call_as_root_inside, ids, work)
    with _held(container):
        stack = engine.snapshotter.mounts(container.config.id)
        visit_stack(stack, attach, container.home.file("rootfs"), work, meanwhile)


def view(
    engine: Engine,
    container: Container,
    work: Callable[[int], None],
    meanwhile: Callable[[], None] = nothing,
) -> None:
    """As `visit`, but read-only and never with what is mounted. Raises as `visit` does."""
    stack = engine.snapshotter.mounts(container.config.id)
    upper, attach = upper_of(container, stack)
    below = MountStack((Directory(upper), *stack.lowers), userxattr=stack.userxattr)
    visit_stack(below, attach, container.home.file("view"), work, meanwhile)


def ids_of(container: Container) -> IdMap | None:
    """The ids that root gave the container; None where it has the host's, or those of whoever runs this."""
    return remap.id_map(container.config.spec.confinement) if os.geteuid() == 0 else None


def upper_of(container: Container, stack: MountStack) -> tuple[str, Attach]:
    """Where what the container wrote has the owners that it gave, once the other, in place of `overlay.attach`, ran."""
    upper, ids = stack.upper or "", ids_of(container)
    if ids is None:
        return upper, overlay.attach
    seen = container.home.file("upper")
    os.makedirs(seen, mode=0o711, exist_ok=True)

    def attach(stack: MountStack, target: str) -> None:
        remap.show_inside(upper, ids, seen)
        overlay.attach(stack, target)

    return seen, attach


@contextmanager
def _held(container: Container) -> Iterator[None]:
    """Nobody starts or removes the container meanwhile."""
    lock = container.home.lock()
    try:
        yield
    finally:
        lock.close()
