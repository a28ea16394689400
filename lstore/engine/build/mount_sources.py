"""What the ``--mount`` flags of one RUN show, found and held for it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from layerstore.build.executor import Root
from layerstore.build.mount import Mount
from layerstore.build.selection import select
from layerstore.dataclass import dataclass, field
from layerstore.disk.locks import FileLock, open_lock
from layerstore.disk.publish import make_directories
from layerstore.errors import NotFound, UsageError, storage_error
from layerstore.oci.digest import Digest
from layerstore.tasks import Cancellation
from lstore.engine.build.local import LocalContext
from lstore.engine.build.request import Surroundings
from lstore.engine.build.site import Site

if TYPE_CHECKING:
    from lstore.engine.build.step_mounts import Source, StepMount

ABOUT: Final = "about"
"""The file of a cache that says which it is."""
DATA: Final = "data"
LOCK: Final = "lock"
SIZE: Final = "size"
"""The file of a cache that says how large it was after its last use, and when that was."""
_LOOK_AGAIN: Final = 0.05
_SECRET_MODE: Final = 0o400
_CACHE_MODE: Final = 0o755
_AGENT: Final = "/run/buildkit/ssh_agent."
_MAX_PRIVATE: Final = 64
"""Copies of one private cache: steps that use it at once."""


@dataclass(slots=True)
class MountSources:
    """The mounts of one RUN. `origins` has one for each that names where it is from; the others of type bind
    show the build context `main`.
    """

    site: Site
    given: Sequence[Mount]
    froms: Sequence[Root | LocalContext]
    main: LocalContext | None
    around: Surroundings
    _caches: dict[int, str] = field(default_factory=dict)

    def origins(self) -> tuple[Digest, ...]:
        """The keys of what the mounts with a ``from`` show, by where it is from."""
        return tuple(
            _local_key(source, mount) if isinstance(source, LocalContext) else self._origin(source)
            for mount, source in self._pairs()
            if mount.origin
        )

    def contexts(self) -> tuple[Digest, ...]:
        """The content keys of what the mounts show of the build context."""
        return tuple(
            _local_key(source, mount)
            for mount, source in self._pairs()
            if not mount.origin and isinstance(source, LocalContext)
        )

    def contents(self, cancellation: Cancellation) -> tuple[Digest, ...] | None:
        """As `origins`, but by content; None where none of them is from a stage or an image."""
        pairs = [(mount, source) for mount, source in self._pairs() if mount.origin]
        if not self.site.keeps_owners or not any(isinstance(source, Root) for _, source in pairs):
            return None
        return tuple(self._content(source, mount, cancellation) for mount, source in pairs)

    def mounts(self) -> "tuple[StepMount, ...]":
        """The mounts as the step's process takes them, while they are `held`."""
        from lstore.engine.build.step_mounts import StepMount

        found = []
        for number, (mount, origin) in enumerate(self._pairs()):
            if mount.type == "secret" and mount.environment and not mount.target:
                continue
            source = self._source(number, mount, origin)
            if source is not None:
                target = mount.target or f"{_AGENT}{number}"
                found.append(StepMount(target, source, mount.is_read_only))
        return tuple(found)

    def environment(self) -> Mapping[str, str]:
        """Variables that come with the mounts; no key knows them."""
        found: dict[str, str] = {}
        for number, mount in enumerate(self.given):
            if mount.type == "secret" and mount.environment and (secret := self._secret(mount)) is not None:
                found[mount.environment] = secret.decode("utf-8", "surrogateescape")
            if mount.type == "ssh" and self._agent(mount) is not None:
                found.setdefault("SSH_AUTH_SOCK", mount.target or f"{_AGENT}{number}")
        return found

    @contextmanager
    def held(self, cancellation: Cancellation) -> Iterator[None]:
        """Have the caches for the block, each as its sharing mode says. Raises `Cancelled`, `StorageError`."""
        with ExitStack() as locks:
            try:
                caches = {n: mount for n, mount in enumerate(self.given) if mount.type == "cache"}
                for number in sorted(caches, key=lambda each: caches[each].cache_key):
                    self._caches[number] = self._take(caches[number], locks, cancellation)
            except OSError as error:
                raise storage_error(error, f"use a cache in {self.site.cache.mounts}") from error
            yield

    def _pairs(self) -> Iterator[tuple[Mount, Root | LocalContext | None]]:
        froms = iter(self.froms)
        for mount in self.given:
            if mount.origin:
                yield mount, next(froms)
            else:
                yield mount, self.main if mount.type == "bind" else None

    def _origin(self, source: Root | LocalContext | None) -> Digest:
        return source.chain if isinstance(source, Root) else Digest.of(b"")

    def _content(
        self, source: Root | LocalContext | None, mount: Mount, cancellation: Cancellation
    ) -> Digest:
        if isinstance(source, LocalContext):
            return _local_key(source, mount)
        from lstore.engine.build.step_work import KeyWork, Selected

        with self.site.workplace() as place:
            view = self.site.view(source if isinstance(source, Root) else Root())
            selected = Selected(view, (mount.source or "/",))
            return Digest.parse(self.site.perform(KeyWork(selected, place.state), 0, cancellation).decode())

    def _source(self, number: int, mount: Mount, origin: Root | LocalContext | None) -> "Source | None":
        from lstore.engine.build.local_root import local_root
        from lstore.engine.build.step_mounts import (
            CacheSource,
            SecretSource,
            SocketSource,
            StackSource,
            TmpfsSource,
        )

        match mount.type:
            case "tmpfs":
                return TmpfsSource(mount.size)
            case "cache":
                mode = _CACHE_MODE if mount.mode is None else mount.mode
                return CacheSource(self._caches[number], mode, mount.uid or 0, mount.gid or 0)
            case "secret":
                secret = self._secret(mount)
                mode = _SECRET_MODE if mount.mode is None else mount.mode
                return None if secret is None else SecretSource(secret, mode, mount.uid or 0, mount.gid or 0)
            case "ssh":
                agent = self._agent(mount)
                return None if agent is None else SocketSource(agent)
        if origin is None:
            raise NotFound("cannot mount the build context: there is none")
        if isinstance(origin, Root):
            return StackSource(self.site.view(origin), mount.source)
        root, path = local_root(self.site, origin, mount.source or ".")
        return StackSource(self.site.view(root), path)

    def _secret(self, mount: Mount) -> bytes | None:
        secret = self.around.secrets.get(mount.secret_key)
        if secret is None and mount.is_required:
            raise NotFound(
                f"secret {mount.secret_key}: not found", hint=f"--secret id={mount.secret_key},src=…"
            )
        return secret

    def _agent(self, mount: Mount) -> str | None:
        name = mount.key or "default"
        agent = self.around.ssh.get(name)
        if agent is None and mount.is_required:
            raise NotFound(f"no SSH key {name!r} forwarded from the client", hint=f"--ssh {name}")
        if agent is not None and (mount.uid or mount.gid):
            raise UsageError("cannot give an ssh agent to another user: its socket is the host's own")
        return agent

    def _take(self, mount: Mount, locks: ExitStack, cancellation: Cancellation) -> str:
        """The data directory of the cache, locked until `locks` closes."""
        if mount.origin:
            raise UsageError("a cache cannot start from a stage or an image")
        key = Digest.of(mount.cache_key.encode()).encoded
        copies = _MAX_PRIVATE if mount.sharing == "private" else 1
        while True:
            for copy in range(copies):
                home = os.path.join(self.site.cache.mounts, key if not copy else f"{key}-{copy}")
                try:
                    lock = _open(home, mount)
                except FileNotFoundError:  # a prune took the cache just now
                    continue
                is_ours = lock.try_shared() if mount.sharing == "shared" else lock.try_exclusive()
                if is_ours and lock.is_current():  # else a prune was faster
                    locks.callback(_let_go, lock, home)
                    return os.path.join(home, DATA)
                lock.close()
            cancellation.pause(_LOOK_AGAIN)


def _open(home: str, mount: Mount) -> FileLock:
    make_directories(home, mode=0o711)
    about = os.path.join(home, ABOUT)
    if not os.path.exists(about):
        with open(about, "w", encoding="utf-8") as file:
            file.write(mount.cache_key)
    return open_lock(os.path.join(home, LOCK))


def _let_go(lock: FileLock, home: str) -> None:
    """The end of a use is its time; by it a prune goes, and whoever remembers how large the cache was."""
    try:
        os.utime(home)
    finally:
        lock.close()


def _local_key(context: LocalContext, mount: Mount) -> Digest:
    return context.key(select(context.context, (mount.source or ".",)))
