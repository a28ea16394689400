"""`mount`, `umount`: the files of an image or a container, to be looked at, mounted read-only.

No program in a view gets a privilege from its file, and no device node works: the view is the host's, its files
are not. What is mounted is held against collections until it is unmounted, whoever does that, and in whichever
mount namespace it is (`layerstore.snapshot.views`).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from layerstore import linux
from layerstore.dataclass import dataclass
from layerstore.disk.faults import CrashPoint
from layerstore.disk.trees import remove_trees
from layerstore.errors import (
    Conflict,
    LstoreError,
    MissingFeature,
    NotFound,
    StorageError,
)
from layerstore.mount import Directory, MountStack
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from layerstore.snapshot.overlay import attach, detach
from layerstore.snapshot.views import View, Views, is_mount_point, open_views, own_namespace, processes_in
from lstore.engine import catalog
from lstore.engine.containers.places import is_name
from lstore.engine.user_namespace import opened_user_namespace
from runner.home import named

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from runner.namespaces import IdMap

_ATTRIBUTES = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID
_SHORTEST_PREFIX = 4

_RECORDED = CrashPoint("mount: recorded, not attached")
_ATTACHED = CrashPoint("mount: attached")
_DETACHED = CrashPoint("umount: detached, still recorded")


@dataclass(frozen=True, slots=True)
class MountRequest:
    """What is to be seen, an image or a container by its name or id, and how.

    Without `target`, an existing directory, one is made below the store's root. With `ids`, what is owned by an
    id inside is seen with the one outside.
    """

    name: str
    target: str | None = None
    platform: Platform | None = None
    ids: "IdMap | None" = None


class _Subject(NamedTuple):
    id: str
    diff_ids: tuple[Digest, ...]
    stack: MountStack


def mount(engine: "Engine", request: MountRequest, *, progress: Progress = SILENT) -> View:
    """Mount what is asked for in this process's mount namespace; the view that is there now.

    Raises `NotFound` for the image or the directory, `Conflict` where something is mounted there already,
    `MissingFeature` without root or for a file system that maps no ids, `StoreDamaged`, `StorageError`.
    """
    _check(engine, request)
    views = open_views(engine.store.layout)
    with ExitStack() as opened:
        users = None if request.ids is None else opened.enter_context(opened_user_namespace(request.ids))
        with _subject(engine, request, progress) as subject:
            remove_trees(views.stale())
            view = views.new(request.name, subject.id, subject.diff_ids, request.target)
            views.record(view)
            _RECORDED.reach()
            try:
                attach(subject.stack, view.target, attributes=_ATTRIBUTES, users=users)
            except LstoreError:
                views.forget(view)
                raise
            _ATTACHED.reach()
            return views.confirm(view)


def list_mounts(engine: "Engine") -> tuple[View, ...]:
    """What is mounted now, by mount point. Raises `StorageError`."""
    return open_views(engine.store.layout).mounted()


def unmount(engine: "Engine", text: str) -> View:
    """Unmount the one view that is at the directory `text`, or of what was called `text`; it comes back.

    Raises `NotFound`, `Conflict` for several, for one that is in use or in another mount namespace.
    """
    views = open_views(engine.store.layout)
    with engine.store.locked():
        view = _named(views.mounted(), text, _whole_id(engine, text))
        _take_down(views, view)
    return view


def unmount_all(engine: "Engine") -> Iterator[View | LstoreError]:
    """Unmount each view, and tell of it once it is gone, or why it is not. Raises `StorageError`."""
    views = open_views(engine.store.layout)
    for view in views.mounted():
        try:
            with engine.store.locked():
                _take_down(views, view)
            yield view
        except LstoreError as error:
            yield error


def _check(engine: "Engine", request: MountRequest) -> None:
    """What can be told before the store is touched."""
    if os.geteuid() != 0:
        target = request.target or "/mnt"
        raise MissingFeature(
            f"cannot mount {request.name}: only root can, or root of a user namespace",
            hint=f"unshare --map-root-user --mount sh -c "
            f"'lstore --root {engine.root} --driver directory mount {request.name} {target}; exec sh'",
        )
    if request.target is None:
        return
    if not os.path.isdir(request.target):
        raise NotFound(f"no directory {request.target}", hint=f"mkdir -p {request.target}")
    if is_mount_point(request.target):
        raise Conflict(f"cannot mount {request.name} at {request.target}: something is mounted there")


@contextmanager
def _subject(engine: "Engine", request: MountRequest, progress: Progress) -> Iterator[_Subject]:
    """What the request means, under the store lock, so that nothing of it goes before it is recorded."""
    store = engine.store
    key = _container(engine, request.name)
    if key is not None:
        with store.locked():
            stack = engine.snapshotter.mounts(key)
            yield _Subject(key, engine.snapshotter.parent(key), _with_upper_below(stack))
        return
    image = catalog.find(store, request.name, request.platform or engine.platform)
    manifest, config = catalog.parts(
        catalog.for_platform(image, request.platform, request.name), request.name
    )
    with store.holding(image.descriptor):
        engine.snapshotter.ensure(manifest, config, progress)
        diff_ids = config.diff_ids
        with store.locked():
            yield _Subject(str(image.id), diff_ids, engine.snapshotter.view(diff_ids))


def _container(engine: "Engine", text: str) -> str | None:
    """The container that is called `text`, or whose id starts with it; an image of that name comes first."""
    if catalog.named(engine.store.refs.read(), text):
        return None
    identity = _whole_id(engine, text)
    if identity is not None:
        return identity
    if len(text) < _SHORTEST_PREFIX:
        return None
    found = [key for key in engine.snapshotter.active() if key.startswith(text)]
    if len(found) > 1:
        raise Conflict(f"{text} is the start of several container ids")
    return found[0] if found else None


def _whole_id(engine: "Engine", text: str) -> str | None:
    """The id of the container of that name."""
    return named(engine.layout.containers, text) if is_name(text) else None


def _with_upper_below(stack: MountStack) -> MountStack:
    """The stack to look at alone: what was written becomes its topmost lower."""
    upper = () if stack.upper is None else (Directory(stack.upper),)
    return MountStack((*upper, *stack.lowers), userxattr=stack.userxattr)


def _named(views: tuple[View, ...], text: str, container: str | None) -> View:
    target = os.path.realpath(text)
    at_place = [view for view in views if view.target == target and view.namespace == own_namespace()]
    found = at_place or [
        view
        for view in views
        if text in (view.name, view.target)
        or view.id == container
        or (len(text) >= _SHORTEST_PREFIX and view.id.rpartition(":")[2].startswith(text.rpartition(":")[2]))
    ]
    if not found:
        raise NotFound(f"nothing of lstore is mounted at or called {text}", hint="lstore mount")
    if len(found) > 1:
        places = ", ".join(view.target for view in found)
        raise Conflict(f"{text} is mounted at {places}", hint=f"lstore umount {found[0].target}")
    return found[0]


def _take_down(views: Views, view: View) -> None:
    """Unmount `view` and forget it. The caller holds the store lock."""
    if view.namespace != own_namespace():
        process = next(processes_in(view.namespace), "PID")
        raise Conflict(
            f"cannot unmount {view.target}: it is in another mount namespace",
            hint=f"nsenter --target {process} --mount lstore umount {view.target}",
        )
    try:
        detach(view.target)
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EBUSY:
            raise Conflict(
                f"cannot unmount {view.target}: it is in use", hint=f"fuser -vm {view.target}"
            ) from error
        raise
    _DETACHED.reach()
    views.forget(view)
