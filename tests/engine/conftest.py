"""A store with images in it, put there without network and without unpacking."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, Layer, layer
from fixtures.memory import MemoryTarget
from layerstore.copy import copy
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref
from layerstore.store.store import Store, open_store

Put = Callable[..., Descriptor]
"""put(builder, descriptor, *names): copy what the descriptor names into the store, under these names."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of an amd64 host."""
    return open_store(str(tmp_path / "store"), Platform("linux", "amd64"))


@pytest.fixture
def put(store: Store) -> Put:
    """See `Put`."""

    def put(builder: ImageBuilder, descriptor: Descriptor, *names: str) -> Descriptor:
        source = MemoryTarget()
        source.blobs = builder.blobs
        with store.transaction() as transaction:
            copy(source, transaction, replace(descriptor, annotations={}))
            for name in names:
                resolved = descriptor.digest if "@" not in name else None
                transaction.set_ref(Ref(Reference.parse(name), descriptor, resolved))
            if not names:
                transaction.set_ref(Ref(None, descriptor))
            transaction.commit()
        return descriptor

    return put


@pytest.fixture
def hello() -> Layer:
    """A layer of one small file."""
    return layer([file("hello", b"world")])
