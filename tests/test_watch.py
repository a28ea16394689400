"""What goes to a watched target is reported: each blob, each byte once, however often it is read."""

from functools import partial

import pytest

from fixtures.memory import MemoryTarget
from fixtures.store import add_image
from layerstore.content import Opener, opened_bytes
from layerstore.copy import copy
from layerstore.errors import Unreachable
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.progress import Phase
from layerstore.watch import WatchedTarget

DATA = bytes(range(200))
BLOB = Descriptor.of(mediatype.OCI_LAYER, DATA)


class Told:
    """A `Progress` that keeps all it is told."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, Phase, int | None]] = []
        self.bytes: dict[str, int] = {}

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        self.phases.append((key, phase, total))

    def advance(self, key: str, amount: int) -> None:
        self.bytes[key] = self.bytes.get(key, 0) + amount

    def note(self, message: str) -> None:
        raise AssertionError(message)


class Interrupted(MemoryTarget):
    """Reads some bytes, starts over, goes on from the middle, and then has them all."""

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        for offset, size in ((0, 120), (0, 50), (100, 40), (140, 60)):
            with opener(offset) as stream:
                stream.read(size)


class Refusing(MemoryTarget):
    """Takes nothing."""

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        with opener(0) as stream:
            stream.read(10)
        raise Unreachable("gone")


class Mounting(MemoryTarget):
    """Has every blob elsewhere."""

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        pass


def test_each_blob_of_an_image_is_told_once_and_its_manifest_not() -> None:
    source, told = MemoryTarget(), Told()
    root = add_image(source, [b"one", b"two two"])
    leaves = {digest.short: len(data) for digest, data in source.blobs.items() if digest != root.digest}

    copy(source, WatchedTarget(MemoryTarget(), told, "uploading"), root, parallel=1)

    assert told.bytes == leaves
    told_of_each = [each for key in leaves for each in ((key, "uploading", leaves[key]), (key, "done", None))]
    assert sorted(told.phases, key=str) == sorted(told_of_each, key=str)


def test_what_is_there_is_told_to_be_there() -> None:
    target, told = MemoryTarget(), Told()
    target.put(BLOB, DATA)

    assert WatchedTarget(target, told, "writing").has(BLOB)

    assert told.phases == [(BLOB.digest.short, "exists", len(DATA))]


def test_bytes_that_are_sent_again_count_once() -> None:
    told = Told()

    WatchedTarget(Interrupted(), told, "uploading").push(BLOB, partial(opened_bytes, DATA))

    assert told.bytes == {BLOB.digest.short: len(DATA)}
    assert [phase for _, phase, _ in told.phases] == ["uploading", "done"]


def test_a_blob_that_was_refused_is_not_done() -> None:
    told = Told()

    with pytest.raises(Unreachable):
        WatchedTarget(Refusing(), told, "uploading").push(BLOB, partial(opened_bytes, DATA))

    assert [phase for _, phase, _ in told.phases] == ["uploading"]


def test_of_a_blob_whose_bytes_nobody_wanted_the_target_tells_itself() -> None:
    told = Told()

    WatchedTarget(Mounting(), told, "uploading").push(BLOB, partial(opened_bytes, DATA))

    assert told.phases == []
