"""The records of finished steps, over one store: a `Recorder`."""

import time
from collections.abc import Callable
from dataclasses import replace

from layerstore.build.cache import Record
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from lstore.engine.build.site import Site


class StoreRecorder:
    """Looks up and keeps what builds made in the store of a `Site`."""

    def __init__(self, site: Site, clock: Callable[[], float] = time.time) -> None:
        self._site = site
        self._cache = site.cache
        self._blobs = site.engine.store.blobs
        self._clock = clock

    def find(self, key: Digest) -> Record | None:
        """See `Recorder`."""
        record = self._cache.find(key)
        if record is None:
            return None
        if record.layer is not None:
            self._site.hold(record.layer)
            if not self._blobs.has(record.layer):
                return None
        self._cache.touch(key)
        return record

    def keep(self, keys: tuple[Digest, ...], layer: Descriptor | None, title: str) -> None:
        """See `Recorder`."""
        record = Record(keys[0], layer, title, int(self._clock()))
        with self._site.engine.store.locked():
            for key in keys:
                self._cache.put(replace(record, key=key))
