"""Whatever a layer holds, reading it ends: in entries or in one of our errors, in bounded time and memory."""

import os
import random
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.images.entries import Entry, directory, file, hardlink, make_tar, opaque, symlink, whiteout
from fixtures.raw_tar import END, MemoryTar, RawHeader, gnu_long, pax_member
from layerstore.errors import LstoreError
from layerstore.layer.layer_index import write_layer_index

ACL = "user::rw-,user:5:r--,group::r--,mask::r--,other::r--"
VERSION_ONE = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
OLD_MAP = bytes(41) + b"0".ljust(12, b"\0") + b"7".ljust(12, b"\0") + bytes(73) + b"00000000100\0"
SEEDS = [
    make_tar(
        [
            directory("d"),
            file("d/f", b"content" * 100),
            symlink("l", "d"),
            hardlink("h", "d/f"),
            whiteout("d/gone"),
            opaque("d"),
            Entry(
                "x",
                xattrs={"user.a": b"b"},
                pax={"SCHILY.acl.access": "user::rw-,user:5:r--,group::r--,mask::r--,other::r--"},
            ),
        ]
    ),
    b"".join(
        [
            gnu_long(b"L", b"long/" * 40 + b"name"),
            gnu_long(b"K", b"long/" * 40 + b"target"),
            RawHeader(kind=b"2", magic=b"ustar  \0").member(),
            pax_member(
                (b"GNU.sparse.major", b"1"),
                (b"GNU.sparse.minor", b"0"),
                (b"GNU.sparse.realsize", b"9000"),
                (b"GNU.sparse.name", b"s"),
            ),
            RawHeader().member(b"2\n0\n4\n4096\n3\n".ljust(512, b"\0") + b"dataend"),
            pax_member((b"GNU.sparse.map", b"0,4,100,3"), (b"GNU.sparse.size", b"200")),
            RawHeader().member(b"dataend"),
            RawHeader(
                kind=b"S",
                magic=b"ustar  \0",
                tail=bytes(41) + b"0".ljust(12, b"\0") + b"7".ljust(12, b"\0") + bytes(73) + b"00000000100\0",
            ).member(b"content"),
            END,
        ]
    ),
]
MEMORY = 64 << 20


def resealed(tar: bytearray) -> bytes:
    """`tar` with every header's checksum made right, so that mutations get past it."""
    for at in range(0, len(tar) - 511, 512):
        block = tar[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    return bytes(tar)


def index_bounded(tar: bytes, directory: Path) -> None:
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR)
    try:
        with suppress(LstoreError):
            write_layer_index(MemoryTar(tar), fd, lambda: bytes(16))
    finally:
        os.close(fd)


@settings(max_examples=600)
@given(which=st.integers(0, len(SEEDS) - 1), seed=st.integers(0, 2**32), reseal=st.booleans())
def test_mutated_archives_end_in_an_index_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, which: int, seed: int, reseal: bool
) -> None:
    noise = random.Random(seed)
    tar = bytearray(SEEDS[which])
    for _ in range(noise.randrange(1, 8)):
        at = noise.randrange(len(tar))
        tar[at] = (
            noise.choice(b"0123456789\0\xff\x80/.,=\n -") if noise.random() < 0.8 else noise.randrange(256)
        )
    if noise.random() < 0.2:
        del tar[noise.randrange(len(tar)) :]

    index_bounded(resealed(tar) if reseal else bytes(tar), tmp_path_factory.getbasetemp())


@given(st.binary(max_size=3000))
def test_random_bytes_end_in_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    index_bounded(data, tmp_path_factory.getbasetemp())


KEYS = [
    b"path",
    b"linkpath",
    b"size",
    b"uid",
    b"mtime",
    b"GNU.sparse.map",
    b"GNU.sparse.size",
    b"GNU.sparse.realsize",
    b"GNU.sparse.major",
    b"GNU.sparse.minor",
    b"GNU.sparse.numblocks",
    b"SCHILY.acl.access",
    b"SCHILY.xattr.user.x",
    b"LIBARCHIVE.xattr.user.x",
]
VALUES = [b"1", b"0", b"4096", b"1,2", b"0,4", b"a/b", b".wh.x"]
records = st.tuples(st.sampled_from(KEYS), st.binary(max_size=20) | st.sampled_from(VALUES))


@given(st.lists(records, max_size=5), st.sampled_from(b"0125SLKxgD"))
def test_any_records_before_any_entry_end_in_an_index_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[bytes, bytes]], kind: int
) -> None:
    member = RawHeader(kind=bytes([kind]), link=b"target").member(b"1\n0\n4\n" + bytes(600))

    index_bounded(pax_member(*records) + member + RawHeader().member() + END, tmp_path_factory.getbasetemp())


def test_headers_that_promise_much_cost_little(tmp_path: Path) -> None:
    huge = b"%d" % (1 << 40)
    bombs = [
        pax_member((b"size", huge)) + RawHeader().member() + END,
        pax_member((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", huge))
        + RawHeader().member(b"data")
        + END,
        RawHeader(kind=b"L", size=b"77777777777\0").block() + END,
        RawHeader(kind=b"x", size=b"77777777777\0").block() + END,
        RawHeader(size=b"77777777777\0").block() * 2 + END,
    ]
    tracemalloc.start()

    for bomb in bombs:
        index_bounded(bomb, tmp_path)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY
