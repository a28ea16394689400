"""`fsck`: check the store's promises, and mend what is broken, from the registry where it has to be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.copy import copy
from layerstore.dataclass import dataclass
from layerstore.errors import LstoreError, NotFound, RegistryError, StoreDamaged
from layerstore.progress import SILENT, Progress
from layerstore.snapshot.unpack import unpack_layers
from layerstore.snapshot.verify import verify_layer
from layerstore.store import fsck as store_fsck
from layerstore.store.fsck import Damage, Repair
from layerstore.store.refs import Ref
from lstore.engine.containers import places

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and what became of it; `repairs` is empty where none were asked for."""

    damages: tuple[Damage, ...]
    repairs: tuple[Repair, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether the store keeps its promises now."""
        return not self.damages or (bool(self.repairs) and all(each.is_mended for each in self.repairs))


def fsck(engine: "Engine", *, repair: bool = False, progress: Progress = SILENT) -> Report:
    """Read everything in the store and report each damage; with `repair`, mend it. Raises `StorageError`.

    A container whose files cannot be read is reported and left: what it wrote is its owner's to give up.
    """
    damages = store_fsck.check(engine.store, verify_layer, progress)
    unreadable = tuple(_unreadable_containers(engine))
    if not repair:
        return Report((*damages, *unreadable))

    def refetch(ref: Ref) -> bool:
        return _refetch(engine, ref, progress)

    repairs = store_fsck.repair(engine.store, damages, refetch) if damages else ()
    left = [
        Repair(each, f"left; lstore rm --force {each.subject[:12]} removes it", is_mended=False)
        for each in unreadable
    ]
    return Report((*damages, *unreadable), (*repairs, *left))


def _unreadable_containers(engine: "Engine") -> Iterator[Damage]:
    """Those that no command can show or start. What a power cut left empty is cleared up by the next command."""
    try:
        homes = places.homes(engine)
    except PermissionError:
        return  # whoever may only read checks what they may read
    for home in homes:
        try:
            home.config(), home.state()
        except NotFound:
            continue  # it is being made or removed
        except StoreDamaged as error:
            if not home.is_lost() and not isinstance(error.__cause__, PermissionError):
                yield Damage("container", home.id, error.message, home.path)


def _refetch(engine: "Engine", ref: Ref, progress: Progress) -> bool:
    """Fetch what `ref` misses from the registry of its name. Whether that worked; if not, progress says why.

    Raises `RegistryError` where the registry cannot be asked now.
    """
    if ref.name is None:
        return False
    try:
        with (
            engine.registries(progress) as client,
            engine.store.transaction(unpack_layers, progress) as transaction,
        ):
            repository = client.repository(ref.name)
            copy(repository, transaction, ref.descriptor, cancellation=transaction.cancellation)
            transaction.commit()
    except RegistryError:
        raise
    except LstoreError as error:
        progress.note(f"cannot fetch {ref.name} again: {error.message}")
        return False
    return True
