"""The work of a step's own process: run a command and make a layer of what it changed, or look into a root.

Everything here happens in a process of `lstore.engine.build.workers`, and where the user is not root, as
root of the user namespace that the container has: there ids are what the image knows them by.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from layerstore import linux
from layerstore.build.content_key import content_key
from layerstore.build.context import Context, Fidelity
from layerstore.build.root_tree import RootTree
from layerstore.build.selection import Selection, select
from layerstore.build.transfer import Destination, LayerPlan
from layerstore.dataclass import dataclass
from layerstore.disk.emptying import unlink_files
from layerstore.disk.trees import remove_tree
from layerstore.errors import storage_error
from layerstore.mount import MountStack
from layerstore.oci.digest import Digest
from layerstore.snapshot import overlay
from layerstore.snapshot.commit import NewLayer, commit_changes, write_layer
from lstore.engine.build.step_mounts import StepMount, StepRoot
from lstore.engine.build.stubs import OF_EVERY_STEP, remove_stubs
from runner import launch
from runner.mapped import call_mapped
from runner.spec import ProcessSpec
from runner.stdio import Stdio

if TYPE_CHECKING:
    from runner.spec import Network

_LONGEST_ANSWER = 4096
_SHELL = ("/bin/sh",)
NOTHING = b"-"
"""Answers that a step changed nothing."""


@dataclass(frozen=True, slots=True)
class RunWork:
    """Run `spec` on the active snapshot of `stack`; its changes over `view` become a layer in `made`.

    Answers the command's exit status, a space, and the layer as `parse_layer` reads it where that is 0.
    `state` is an empty directory for this alone.
    """

    stack: MountStack
    view: MountStack
    spec: ProcessSpec
    mounts: tuple[StepMount, ...]
    network: "Network"
    state: str
    made: str
    clamp: int | None
    owners: tuple[str, ...] | None = None
    """The directories of the layers below, where their files have lost their owners."""

    def perform(self, output: int) -> bytes:
        """See `workers.Work`."""
        null = os.open(os.devnull, os.O_RDONLY)
        status = self._launch(self.spec.args, Stdio(null, output, output))
        if status:
            return b"%d " % status
        return b"0 " + _mapped(self._commit)

    def open_shell(self) -> int:
        """Run a shell in the command's place, on our own terminal; its exit status.

        To be called in the main thread of a process that has no others. Raises `LaunchError`, `MissingFeature`,
        `UsageError`.
        """
        return self._launch(_SHELL, Stdio())

    def _launch(self, args: tuple[str, ...], stdio: Stdio) -> int:
        fields = {name: getattr(self.spec, name) for name in self.spec._fields}
        root = StepRoot(self.state, self.mounts)
        around = launch.Surroundings(self.state, root.attach, self.network, stdio)
        return launch.run(self.stack, ProcessSpec(**{**fields, "args": args}), around)

    def _commit(self) -> bytes:
        with _mounted(self.view, self.state) as lower, ExitStack() as opened:
            upper = _directory(self.stack.upper or "", opened)
            asked = [each.target for each in self.mounts] + [each.target for each in self.spec.mounts]
            remove_stubs(upper, lower, [*asked, *OF_EVERY_STEP])
            below = lower if self.view.lowers else None
            restored = None if self.owners is None else RootTree(self.owners).with_owner
            layer = commit_changes(
                upper,
                below,
                self.made,
                userxattr=self.view.userxattr,
                clamp=self.clamp,
                restored=restored,
            )
        return spell_layer(layer)


@dataclass(frozen=True, slots=True)
class Selected:
    """What a COPY takes from another root: the arguments of `select`, and the root they are about."""

    view: MountStack
    sources: tuple[str, ...]
    parents: bool = False
    exclude: tuple[str, ...] = ()
    owners: tuple[str, ...] | None = None
    """The directories of the root's layers, where its files have lost their owners."""


@dataclass(frozen=True, slots=True)
class KeyWork:
    """Answers the content key of what is selected in a root."""

    selected: Selected
    state: str

    def perform(self, output: int) -> bytes:
        """See `workers.Work`."""
        return _mapped(self._key)

    def _key(self) -> bytes:
        with _mounted(self.selected.view, self.state) as root:
            context, selections = _select(root, self.selected)
            return str(content_key(context, selections)).encode()


@dataclass(frozen=True, slots=True)
class CopyWork:
    """Make a layer in `made` of what is selected in a root, over the layers in the directories `below`.

    `below` is None for ``--link``. Answers the layer as `parse_layer` reads it.
    """

    selected: Selected
    below: tuple[str, ...] | None
    to: Destination
    state: str
    made: str
    clamp: int | None

    def perform(self, output: int) -> bytes:
        """See `workers.Work`."""
        return _mapped(self._copy)

    def _copy(self) -> bytes:
        plan = LayerPlan(None if self.below is None else RootTree(self.below))
        with _mounted(self.selected.view, self.state) as root:
            context, selections = _select(root, self.selected)
            lost = self.selected.owners
            plan.copy(context, selections, self.to, owners=None if lost is None else RootTree(lost))
            return spell_layer(write_layer(plan.members(), self.made, clamp=self.clamp))


@dataclass(frozen=True, slots=True)
class RemoveWork:
    """Remove directories that a step's user may own. Answers nothing."""

    paths: tuple[str, ...]

    def perform(self, output: int) -> bytes:
        """See `workers.Work`."""
        return _mapped(self._remove)

    def _remove(self) -> bytes:
        for path in self.paths:
            unlink_files(path)
            remove_tree(path)
        return b""


def spell_layer(layer: NewLayer | None) -> bytes:
    """`layer` as an answer."""
    return NOTHING if layer is None else b"%s %d" % (str(layer.diff_id).encode(), layer.size)


def parse_layer(answer: bytes) -> NewLayer | None:
    """The layer that an answer spells. Raises `InvalidDigest`."""
    if answer == NOTHING:
        return None
    diff_id, _, size = answer.decode().partition(" ")
    return NewLayer(Digest.parse(diff_id), int(size))


def _select(root: int, selected: Selected) -> tuple[Context, tuple[Selection, ...]]:
    context = Context(root, fidelity=Fidelity.EXACT)
    return context, select(context, selected.sources, parents=selected.parents, exclude=selected.exclude)


def _mapped(body: Callable[[], bytes]) -> bytes:
    """What `body` gives, called as root, perhaps of a user namespace, in a process that may end with it."""
    reader, writer = os.pipe()
    try:
        call_mapped(partial(_write_answer, body, writer))
        os.close(writer)
        writer = -1
        return os.read(reader, _LONGEST_ANSWER)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _write_answer(body: Callable[[], bytes], writer: int) -> None:
    os.write(writer, body())


@contextmanager
def _mounted(view: MountStack, state: str) -> Iterator[int]:
    """A descriptor of the root of `view`, mounted in a mount namespace that this process then has for good."""
    place = os.path.join(state, "view")
    try:
        os.makedirs(place, mode=0o711, exist_ok=True)
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        if view.lowers:
            overlay.attach(view, place)
        with ExitStack() as opened:
            yield _directory(place, opened)
    except OSError as error:
        raise storage_error(error, f"look into a step's root at {place}") from error


def _directory(path: str, opened: ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd
