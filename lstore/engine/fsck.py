"""`fsck`: check the store's promises, and mend what is broken, from the registry where it has to be."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerstore.copy import copy
from layerstore.errors import LstoreError, RegistryError
from layerstore.progress import SILENT, Progress
from layerstore.snapshot.unpack import unpack_layers
from layerstore.snapshot.verify import verify_layer
from layerstore.store import fsck as store_fsck
from layerstore.store.fsck import Damage, Repair
from layerstore.store.refs import Ref

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
    """Read everything in the store and report each damage; with `repair`, mend it. Raises `StorageError`."""
    damages = store_fsck.check(engine.store, verify_layer, progress)
    if not repair or not damages:
        return Report(damages)

    def refetch(ref: Ref) -> bool:
        return _refetch(engine, ref, progress)

    return Report(damages, store_fsck.repair(engine.store, damages, refetch))


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
