"""How much memory indexing and merging take for each entry: a pull's bound on memory is a bound on entries."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from fixtures.images.entries import Entry, directory, file, make_tar
from fixtures.raw_tar import MemoryTar
from layerstore.layer.ingest import LayerWriter
from layerstore.layer.layer_index import write_layer_index
from layerstore.layer.merge import merge_layers

DIRECTORIES = 400
FILES = 12
"""In each directory, as in an image with many packages."""
FIXED = 2 << 20
"""Bytes that it takes whatever the number of entries: buffers, what is imported at first use."""
UUID = bytes(16)


def large_layer(name: str, directories: int) -> bytes:
    entries: list[Entry] = []
    for number in range(directories):
        path = f"usr/lib/python3/dist-packages/{name}/module{number:05}"
        entries.append(directory(path))
        entries += [file(f"{path}/some_name_{each:02}.py", b"x", mode=0o644) for each in range(FILES)]
    return make_tar(entries)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_merge_takes_less_than_half_a_kilobyte_for_each_entry(tmp_path: Path) -> None:
    layers = []
    for name in ("first", "second", "third"):
        layers.append(str(tmp_path / name))
        os.mkdir(layers[-1])
        with LayerWriter(layers[-1]) as writer:
            writer.write(large_layer(name, DIRECTORIES))
            writer.finish()
    entries = len(layers) * DIRECTORIES * (FILES + 1)

    used = peak(lambda: merge_layers(layers, str(tmp_path / "merged")))

    assert used < FIXED + 400 * entries


def test_indexing_takes_little_more_than_half_a_kilobyte_for_each_entry(tmp_path: Path) -> None:
    tar = MemoryTar(large_layer("one", 3 * DIRECTORIES))
    entries = 3 * DIRECTORIES * (FILES + 1)
    fd = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)

    used = peak(lambda: write_layer_index(tar, fd, lambda: UUID))

    os.close(fd)
    assert used < FIXED + 550 * entries
