"""The records of finished steps, over one store: a `Recorder`."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from layerstore.build.cache import Record
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from lstore.engine.build.site import Site

if TYPE_CHECKING:
    from lstore.engine.build.exchange import ImportedCache


class StoreRecorder:
    """Looks up and keeps what builds made in the store of a `Site`."""

    def __init__(
        self, site: Site, imported: "Sequence[ImportedCache]" = (), clock: Callable[[], float] = time.time
    ) -> None:
        """`imported` caches are looked into where the store knows nothing."""
        self._site = site
        self._imported = imported
        self.used: list[Record] = []
        """The records that were found or kept."""
        self._cache = site.cache
        self._blobs = site.engine.store.blobs
        self._clock = clock

    def find(self, key: Digest) -> Record | None:
        """See `Recorder`."""
        record = self._find(key) or self._fetch(key)
        if record is not None:
            self.used.append(record)
        return record

    def _find(self, key: Digest) -> Record | None:
        record = self._cache.find(key)
        if record is None:
            return None
        if record.layer is not None:
            self._site.hold(record.layer)
            if not self._blobs.has(record.layer):
                return None
        self._cache.touch(key)
        return record

    def _fetch(self, key: Digest) -> Record | None:
        """The record from an imported cache, ours from now on."""
        for each in self._imported:
            if key in each.records:
                layer = each.records[key].layer
                if layer is not None:
                    self._site.hold(layer)
                record = each.fetch(self._site.engine, key)
                if record is not None:
                    self._put(record)
                    return record
        return None

    def keep(self, keys: tuple[Digest, ...], layer: Descriptor | None, title: str) -> None:
        """See `Recorder`."""
        for key in keys:
            record = Record(key, layer, title, int(self._clock()))
            self._put(record)
            self.used.append(record)

    def _put(self, record: Record) -> None:
        self._cache.create()
        with self._site.engine.store.locked():
            self._cache.put(record)
