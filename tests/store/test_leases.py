"""Leases hold content for as long as their process lives, and no longer."""

import os

import pytest

from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.store import leases
from layerstore.store.leases import Lease
from layerstore.store.store import Store

ONE = Descriptor.of(mediatype.OCI_LAYER, b"one")
TWO = Descriptor.of(mediatype.OCI_LAYER, b"two")


def test_what_a_lease_holds_is_held_until_it_is_closed(store: Store) -> None:
    lease = Lease(store.layout)
    lease.hold(ONE)
    lease.hold(TWO)
    lease.hold(ONE)

    assert leases.held(store.layout) == {ONE, TWO}
    assert leases.abandoned(store.layout) == ()

    lease.close()
    lease.close()
    assert leases.held(store.layout) == set()
    assert os.listdir(store.layout.leases) == []


def test_the_lease_of_a_process_that_is_gone_holds_nothing(store: Store) -> None:
    path = os.path.join(store.layout.leases, "1-00")
    with open(path, "wb") as stream:
        stream.write(b'\n{"mediaType":"a/b","digest":"sha256:%s","size":1}' % (b"0" * 64))

    assert leases.held(store.layout) == set()
    assert leases.abandoned(store.layout) == (path,)


def test_a_line_that_was_not_written_whole_spoils_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(store.layout)
    lease.hold(ONE)
    write = os.write

    def write_half(descriptor: int, data: bytes) -> int:
        write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write_half)
    with pytest.raises(OSError, match="space"):
        lease.hold(TWO)
    monkeypatch.undo()
    lease.hold(TWO)

    assert leases.held(store.layout) == {ONE, TWO}

    lease.close()


def test_a_lease_that_ends_while_it_is_looked_at_holds_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(store.layout)
    lease.hold(ONE)
    is_abandoned = leases.is_abandoned

    def closing(path: str) -> bool:
        answer = is_abandoned(path)
        lease.close()
        return answer

    monkeypatch.setattr(leases, "is_abandoned", closing)

    assert leases.held(store.layout) == set()


def test_a_hold_that_fails_leaves_no_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(lease: Lease, descriptor: Descriptor) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Lease, "hold", fail)

    with pytest.raises(OSError, match="space"), leases.holding(store.layout, [ONE]):
        raise AssertionError("held nothing, and went on")

    assert os.listdir(store.layout.leases) == []
