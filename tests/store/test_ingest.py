"""Work on one blob: shared, resumed, never wrong, and nobody waits for ever."""

import errno
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from fixtures.crash.scenarios import keep_tars, open_at
from fixtures.memory import MemoryTarget
from fixtures.store import contents
from layerstore.content import Opener, Readable, opened_bytes, read_document
from layerstore.errors import ContentMismatch, InvalidLayer, NoSpace, StorageError, Unreachable
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.ingest import Sink
from layerstore.store.store import Store
from layerstore.tasks import Cancelled

DATA = bytes(range(256)) * 5000
LAYER = Descriptor.of(mediatype.OCI_LAYER, DATA)


class Recording:
    """An opener over `data` that notes the offsets that it was asked for, and can break off."""

    def __init__(self, data: bytes = DATA, *, breaks_at: int | None = None) -> None:
        self.offsets: list[int] = []
        self._data = data
        self._breaks_at = breaks_at

    @contextmanager
    def __call__(self, offset: int) -> Iterator[Readable]:
        self.offsets.append(offset)
        with opened_bytes(self._data[: self._breaks_at], offset) as stream:
            yield _Breaking(stream) if self._breaks_at is not None else stream


class _Breaking:
    """A connection that is reset where its bytes end."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if not data:
            raise Unreachable("connection reset")
        return data


def push(store: Store, opener: Opener, descriptor: Descriptor = LAYER) -> None:
    with store.transaction(keep_tars) as transaction:
        transaction.push(descriptor, opener)
        transaction.commit()


def test_a_broken_download_is_resumed_where_it_broke_off(store: Store) -> None:
    with pytest.raises(Unreachable):
        push(store, Recording(breaks_at=700_000))
    second = Recording()

    push(store, second)

    assert second.offsets == [700_000]
    assert read_document(store.blobs, LAYER) == DATA
    assert Path(store.layers.path(LAYER.digest), "tar").read_bytes() == DATA


def test_a_complete_download_that_was_never_verified_asks_for_nothing_more(store: Store) -> None:
    with pytest.raises(Unreachable):
        push(store, Recording(breaks_at=len(DATA)))
    second = Recording()

    push(store, second)

    assert second.offsets == []


def test_a_damaged_partial_download_starts_over(store: Store) -> None:
    with pytest.raises(Unreachable):
        push(store, Recording(breaks_at=700_000))
    blob = Path(store.layout.ingest(LAYER.digest), "blob")
    blob.write_bytes(b"X" + blob.read_bytes()[1:])
    second = Recording()

    push(store, second)

    assert second.offsets == [700_000, 0]
    assert read_document(store.blobs, LAYER) == DATA


def test_a_partial_download_longer_than_the_blob_starts_over(store: Store) -> None:
    with pytest.raises(Unreachable):
        push(store, Recording(breaks_at=700_000))
    Path(store.layout.ingest(LAYER.digest), "blob").write_bytes(DATA + b"more")
    second = Recording()

    push(store, second)

    assert second.offsets == [0]


@pytest.mark.parametrize("data", [b"X" + DATA[1:], DATA[:-1], DATA + b"more"])
def test_wrong_bytes_are_refused_and_not_kept(store: Store, data: bytes) -> None:
    with pytest.raises(ContentMismatch):
        push(store, Recording(data))

    assert not store.blobs.exists(LAYER.digest)
    assert Path(store.layout.ingest(LAYER.digest), "blob").stat().st_size == 0
    assert store.layers.names() == ()


class _FailingSink:
    """A driver that cannot make anything of the bytes."""

    aborted = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    def write(self, chunk: bytes) -> None:
        raise self._error

    def finish(self) -> Digest:
        raise AssertionError("finished after it failed")

    def abort(self) -> None:
        self.aborted = True


def push_into(store: Store, sink: Sink, opener: Opener) -> None:
    with store.transaction(lambda descriptor, directory: sink) as transaction:
        transaction.push(LAYER, opener)


def test_wrong_bytes_that_do_not_even_unpack_are_told_by_their_digest(store: Store) -> None:
    sink = _FailingSink(InvalidLayer("not a tar"))

    with pytest.raises(ContentMismatch):
        push_into(store, sink, Recording(b"X" + DATA[1:]))

    assert sink.aborted
    assert Path(store.layout.ingest(LAYER.digest), "blob").stat().st_size == 0


def test_right_bytes_that_do_not_unpack_are_kept_and_refused(store: Store) -> None:
    sink = _FailingSink(InvalidLayer("not a tar"))

    with pytest.raises(InvalidLayer):
        push_into(store, sink, Recording())

    assert sink.aborted
    assert Path(store.layout.ingest(LAYER.digest), "blob").read_bytes() == DATA


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), NoSpace("cannot write tar")]
)
def test_a_full_disk_gives_back_what_the_download_took(store: Store, error: Exception) -> None:
    before = contents(store.layout.root)

    with pytest.raises(NoSpace):
        push_into(store, _FailingSink(error), Recording())

    assert contents(store.layout.root) == before


def test_a_blob_that_the_disk_does_not_take_is_not_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fdatasync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fdatasync)

    with pytest.raises(StorageError, match="input/output error"):
        push(store, Recording())

    assert not Path(store.layout.ingest(LAYER.digest), "done").exists()


def test_a_cancelled_transaction_stops_within_a_chunk(store: Store) -> None:
    with store.transaction() as transaction:

        @contextmanager
        def cancelling(offset: int) -> Iterator[Readable]:
            transaction.cancellation.cancel()
            with opened_bytes(DATA, offset) as stream:
                yield stream

        with pytest.raises(Cancelled):
            transaction.push(LAYER, cancelling)


def test_a_cancelled_transaction_does_not_wait_for_another_ones_work(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()

    @contextmanager
    def held(offset: int) -> Iterator[Readable]:
        started.set()
        go_on.wait(30)
        with opened_bytes(DATA, offset) as stream:
            yield stream

    worker = threading.Thread(target=push, args=(store, held))
    worker.start()
    started.wait(30)
    with store.transaction() as transaction:
        transaction.cancellation.cancel()

        with pytest.raises(Cancelled):
            transaction.push(LAYER, Recording())

    go_on.set()
    worker.join()


def test_what_another_process_fetched_is_adopted_before_that_one_commits(store: Store) -> None:
    second = Recording()

    with store.transaction(keep_tars) as first, store.transaction(keep_tars) as late:
        first.push(LAYER, Recording())
        late.push(LAYER, second)
        first.commit()
        late.commit()

    assert second.offsets == []
    assert read_document(store.blobs, LAYER) == DATA
    assert os.listdir(store.layout.ingests) == []


def test_work_that_was_adopted_survives_the_failure_of_who_did_it(store: Store) -> None:
    with store.transaction(keep_tars) as late:
        with store.transaction(keep_tars) as first:
            first.push(LAYER, Recording())
            late.push(LAYER, Recording(b""))

        late.commit()

    assert store.layers.has(LAYER.digest)
    assert read_document(store.blobs, LAYER) == DATA


def test_work_that_others_adopted_is_not_discarded_by_who_finds_the_blob_stored(store: Store) -> None:
    with store.transaction(keep_tars) as adopter, store.transaction(keep_tars) as late:
        adopter.push(LAYER, Recording())
        Path(store.layout.blob(LAYER.digest)).write_bytes(DATA)
        late.push(LAYER, Recording(b""))
        late.commit()
        adopter.commit()

    assert store.layers.has(LAYER.digest)


def test_work_done_before_the_machine_crashed_is_verified_again(store: Store) -> None:
    with store.transaction(keep_tars) as transaction:
        transaction.push(LAYER, Recording())
    Path(store.layout.ingest(LAYER.digest), "layer", "tar").write_bytes(b"cut short")
    rebooted = Store(store.layout, store.platform, "another-boot")
    second = Recording()

    push(rebooted, second)

    assert second.offsets == []
    assert Path(store.layers.path(LAYER.digest), "tar").read_bytes() == DATA


def _fetch_counting(source: MemoryTarget, counter: Path, descriptor: Descriptor) -> Opener:
    def opener(offset: int) -> AbstractContextManager[Readable]:
        with open(counter, "ab", buffering=0) as stream:
            stream.write(b"x")
        return source.fetch(descriptor, offset)

    return opener


def _push_all(root: str, descriptors: list[Descriptor], datas: list[bytes], counter: Path) -> None:
    source = MemoryTarget()
    for descriptor, data in zip(descriptors, datas, strict=True):
        source.put(descriptor, data)
    with open_at(root).transaction(keep_tars) as transaction:
        for descriptor in descriptors:
            transaction.push(descriptor, _fetch_counting(source, counter, descriptor))
        transaction.commit()


def _run_together(targets: list[Callable[[], None]]) -> list[int | None]:
    processes = [multiprocessing.get_context("spawn").Process(target=target) for target in targets]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_processes_that_want_the_same_blobs_in_opposite_order_finish_and_fetch_each_once(
    tmp_path: Path,
) -> None:
    datas = [hashlib.sha256(bytes([number])).digest() * 100_000 for number in range(4)]
    descriptors = [Descriptor.of(mediatype.OCI_LAYER, data) for data in datas]
    root, counter = str(tmp_path / "store"), tmp_path / "counter"
    forwards = partial(_push_all, root, descriptors, datas, counter)
    backwards = partial(_push_all, root, descriptors[::-1], datas[::-1], counter)

    statuses = _run_together([forwards, backwards, forwards, backwards])

    assert statuses == [0, 0, 0, 0]
    assert counter.stat().st_size == len(datas)
    assert all(open_at(root).blobs.has(descriptor) for descriptor in descriptors)
