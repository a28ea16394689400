import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.images.entries import Entry, directory, file, make_tar
from fixtures.observed import observe_index
from fixtures.page_cache import cached_bytes
from fixtures.raw_tar import END, RawHeader
from layerstore.errors import (
    InvalidLayer,
    LimitExceeded,
    LstoreError,
    StorageError,
    UnsupportedContent,
)
from layerstore.layer.codec import compressor
from layerstore.layer.indexer import _TURNS
from layerstore.layer.indexer_main import PROGRESS, GrowingTar
from layerstore.layer.ingest import HELPED, LARGE, LayerFacts, LayerWriter
from layerstore.layer.layer_index import MANY
from layerstore.layer.merge import layer_facts
from layerstore.layer.tar import read_entries
from layerstore.layer.tar_writer import PlainBlob, index_tar
from layerstore.oci.digest import Digest
from layerstore.oci.mediatype import Compression
from layerstore.tasks import run_all

SMALL = make_tar([directory("etc"), file("etc/hosts", b"127.0.0.1 localhost\n")])
CHUNK = 64 << 10


def large_tar(seed: int = 0, files: int = 200) -> bytes:
    noise = random.Random(seed)
    return make_tar([Entry(f"data/{n}", data=noise.randbytes(noise.randrange(80_000))) for n in range(files)])


@pytest.fixture(scope="module")
def large() -> bytes:
    """A tar that is worth a thread and a process."""
    tar = large_tar()
    assert len(tar) > LARGE
    return tar


def compress(kind: Compression, data: bytes) -> bytes:
    stream = compressor(kind)
    return stream.compress(data) + stream.flush()


def ingest(blob: bytes, directory: Path, chunk: int = CHUNK) -> LayerFacts:
    directory.mkdir()
    with LayerWriter(str(directory)) as writer:
        for at in range(0, len(blob), chunk):
            writer.write(blob[at : at + chunk])
        return writer.finish()


def children() -> set[int]:
    """The process ids of this process's children; other tests' helpers may be among them."""
    paths = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in paths for pid in path.read_text().split()}


@pytest.fixture(autouse=True)
def nothing_is_left_over() -> Iterator[None]:
    """Threads, processes and descriptors end with the work."""
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))
    before = children()
    yield
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert children() == before


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_a_small_layer_becomes_its_tar_and_an_index(tmp_path: Path, kind: Compression, chunk: int) -> None:
    facts = ingest(compress(kind, SMALL), tmp_path / "layer", chunk)

    assert facts == LayerFacts(Digest.of(SMALL), len(SMALL), 2)
    assert (tmp_path / "layer/tar").read_bytes() == SMALL
    assert set(observe_index((tmp_path / "layer/index").read_bytes(), [SMALL])) == {b"", b"etc", b"etc/hosts"}
    assert sorted(os.listdir(tmp_path / "layer")) == ["index", "tar"]


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
def test_a_large_layer_gets_the_same_index_from_its_own_process(
    tmp_path: Path, large: bytes, kind: Compression
) -> None:
    facts = ingest(compress(kind, large), tmp_path / "layer")

    index_tar(str(tmp_path / "layer/tar"), str(tmp_path / "again"), facts.diff_id)
    assert facts == LayerFacts(Digest.of(large), len(large), 200)
    assert (tmp_path / "layer/tar").read_bytes() == large
    assert (tmp_path / "layer/index").read_bytes() == (tmp_path / "again").read_bytes()


def test_an_empty_blob_is_an_empty_layer(tmp_path: Path) -> None:
    facts = ingest(b"", tmp_path / "layer")

    assert (facts.size, facts.entries) == (0, 0)
    assert layer_facts(str(tmp_path / "layer")).stands_alone


def test_layers_side_by_side_do_not_mix(tmp_path: Path) -> None:
    tars = [large_tar(seed, files=150) for seed in range(4)]
    found: dict[int, LayerFacts] = {}

    def work(number: int) -> None:
        found[number] = ingest(compress("zstd", tars[number]), tmp_path / str(number))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [found[number].diff_id for number in range(4)] == [Digest.of(tar) for tar in tars]


def test_a_bounded_number_of_layers_is_indexed_at_once_and_the_others_later(
    tmp_path: Path, large: bytes
) -> None:
    writers = []
    before = children()
    for number in range(HELPED + 1):
        (tmp_path / str(number)).mkdir()
        writers.append(LayerWriter(str(tmp_path / str(number))))
        writers[-1].write(large)

    indexers = len(children() - before)
    facts = [writer.finish() for writer in writers]

    assert indexers == HELPED
    assert facts == [LayerFacts(Digest.of(large), len(large), 200)] * (HELPED + 1)


def flocks(inode: int) -> tuple[int, int]:
    """How many hold a lock on the file, and how many wait for one: proc_locks(5)."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines() if f":{inode} " in line]
    return sum(words[1] == "FLOCK" for words in lines), sum(words[1] == "->" for words in lines)


def test_one_indexer_at_a_time_keeps_many_entries_in_memory(tmp_path: Path) -> None:
    tar = make_tar([file(f"data/{number}", b"x") for number in range(MANY + 1000)])
    inode = os.fstat(_TURNS).st_ino
    writers = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        writers.append(LayerWriter(str(tmp_path / str(number))))
        writers[-1].write(tar)

    deadline = time.monotonic() + 60
    while (seen := flocks(inode)) != (1, 1) and time.monotonic() < deadline:
        os.sched_yield()
    facts = run_all([writer.finish for writer in writers], limit=2)

    assert seen == (1, 1)
    assert facts == [LayerFacts(Digest.of(tar), len(tar), MANY + 1000)] * 2
    assert flocks(inode) == (0, 0)


def ingest_beside(blob: Path, data: bytes, directory: Path) -> LayerFacts:
    """Ingest `data` that is written to the file `blob`, chunk by chunk, just before."""
    directory.mkdir()
    with (
        open(blob, "wb", buffering=0) as file,
        LayerWriter(str(directory), blob=PlainBlob(str(blob), Digest.of(data))) as writer,
    ):
        for at in range(0, len(data), CHUNK):
            file.write(data[at : at + CHUNK])
            writer.write(data[at : at + CHUNK])
        return writer.finish()


@pytest.mark.parametrize("is_large", [False, True])
def test_a_plain_layer_is_its_blob_under_another_name(tmp_path: Path, large: bytes, is_large: bool) -> None:
    tar = large if is_large else SMALL

    shared = ingest_beside(tmp_path / "blob", tar, tmp_path / "shared")
    own = ingest(tar, tmp_path / "own")

    assert shared == own
    assert (tmp_path / "shared/tar").samefile(tmp_path / "blob")
    assert (tmp_path / "shared/index").read_bytes() == (tmp_path / "own/index").read_bytes()


def test_a_compressed_layer_is_no_name_of_its_blob(tmp_path: Path) -> None:
    facts = ingest_beside(tmp_path / "blob", compress("gzip", SMALL), tmp_path / "layer")

    assert facts.diff_id == Digest.of(SMALL)
    assert (tmp_path / "layer/tar").read_bytes() == SMALL


def test_without_hard_links_a_plain_layer_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)

    facts = ingest_beside(tmp_path / "blob", SMALL, tmp_path / "layer")

    assert facts.diff_id == Digest.of(SMALL)
    assert (tmp_path / "layer/tar").read_bytes() == SMALL
    assert not (tmp_path / "layer/tar").samefile(tmp_path / "blob")


def test_compression_can_be_named_where_a_plain_tar_looks_compressed(tmp_path: Path) -> None:
    tar = RawHeader(name=b"\x1f\x8b\x08").member(b"data") + END

    with LayerWriter(str(tmp_path), "none") as writer:
        writer.write(tar)
        facts = writer.finish()

    assert facts.entries == 1


BAD = {
    "truncated gzip": (lambda: compress("gzip", SMALL)[:-4], InvalidLayer),
    "garbage after zstd": (lambda: compress("zstd", SMALL) + b"garbage", InvalidLayer),
    "xz": (lambda: b"\xfd7zXZ\0\0\4", UnsupportedContent),
    "no tar": (lambda: b"these are no 512 bytes of tar header" * 100, InvalidLayer),
    "a climbing path": (lambda: make_tar([file("../canary")]), InvalidLayer),
    "a huge tar cut off": (lambda: large_tar()[: LARGE + 100_000], InvalidLayer),
    "a huge tar with an error early": (
        lambda: make_tar([file("../canary")])[:1024] + large_tar(),
        InvalidLayer,
    ),
    "a huge tar with an error late": (lambda: large_tar()[:-10240] + b"x" * 10240, InvalidLayer),
}


@pytest.mark.parametrize(("blob", "error"), BAD.values(), ids=BAD)
def test_a_bad_layer_is_one_typed_error(
    tmp_path: Path, blob: Callable[[], bytes], error: type[LstoreError]
) -> None:
    with pytest.raises(error):
        ingest(blob(), tmp_path / "layer")


def test_a_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    bomb = compress("zstd", RawHeader(size=b"77777777777\0").block() + bytes(64 << 20))

    with LayerWriter(str(tmp_path), limit=8 << 20) as writer, pytest.raises(LimitExceeded):
        writer.write(bomb)

    assert os.path.getsize(tmp_path / "tar") <= 8 << 20


@pytest.mark.parametrize("size", [100, LARGE + CHUNK])
def test_an_aborted_layer_leaves_nothing_running(tmp_path: Path, large: bytes, size: int) -> None:
    writer = LayerWriter(str(tmp_path))
    writer.write(large[:size])

    writer.abort()
    writer.abort()


def test_a_killed_indexer_is_an_error_not_a_hang(tmp_path: Path, large: bytes) -> None:
    before = children()
    with LayerWriter(str(tmp_path)) as writer:
        writer.write(large[: LARGE + 2 * CHUNK])
        for child in children() - before:
            os.kill(child, signal.SIGKILL)

        with pytest.raises(LstoreError, match="indexer"):
            finish_with(writer, large[LARGE + 2 * CHUNK :])


def finish_with(writer: LayerWriter, rest: bytes) -> None:
    for at in range(0, len(rest), CHUNK):
        writer.write(rest[at : at + CHUNK])
    writer.finish()


def test_an_indexer_ends_when_its_writer_is_killed(tmp_path: Path, large: bytes) -> None:
    (tmp_path / "blob").write_bytes(large)
    script = (
        "import sys, os, signal\n"
        "from layerstore.layer.ingest import LayerWriter\n"
        "writer = LayerWriter(sys.argv[1])\n"
        "writer.write(open(sys.argv[2], 'rb').read())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "layer").mkdir()
    command = [sys.executable, "-c", script, tmp_path / "layer", tmp_path / "blob"]

    # The indexer inherits standard error: the pipe ends only once it is gone too.
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, cwd=os.getcwd(), timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert done.stderr == b""


def test_a_full_disk_is_a_storage_error(tmp_path: Path, large: bytes) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            ingest(large, tmp_path / "layer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_directory_that_is_taken_or_missing_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "tar").symlink_to("/etc/passwd")

    for target in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StorageError):
            LayerWriter(str(target))


@pytest.mark.parametrize("is_read_soon", [False, True])
def test_what_was_indexed_leaves_the_page_cache_unless_it_is_read_soon(
    large: bytes, tmp_path: Path, is_read_soon: bool
) -> None:
    (tmp_path / "tar").write_bytes(large)
    tar = os.open(tmp_path / "tar", os.O_RDWR)
    os.fdatasync(tar)
    progress, told = os.pipe()
    os.write(told, PROGRESS.pack(len(large), True, bytes(range(16))))
    source = GrowingTar(tar, progress, is_read_soon=is_read_soon)

    assert cached_bytes(tar) >= len(large)
    assert sum(1 for _ in read_entries(source)) == 200
    assert source.identity() == bytes(range(16))

    assert (cached_bytes(tar) == 0) is not is_read_soon
    for descriptor in (tar, progress, told):
        os.close(descriptor)
