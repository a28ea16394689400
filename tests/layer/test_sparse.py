import subprocess
from pathlib import Path

import pytest

from fixtures.raw_tar import END, MemoryTar, RawHeader, pax_member
from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.entry import Entry
from layerstore.layer.tar import read_entries

MEGABYTE = 1 << 20


def read(*members: bytes) -> list[Entry]:
    return list(read_entries(MemoryTar(b"".join(members) + END)))


def old_header(pairs: list[tuple[bytes, bytes]], size: int, *, more: bool = False) -> RawHeader:
    fields = b"".join(offset.ljust(12, b"\0") + length.ljust(12, b"\0") for offset, length in pairs)
    tail = bytes(41) + fields.ljust(96, b"\0") + bytes([more]) + b"%011o\0" % size
    return RawHeader(name=b"sparse", kind=b"S", magic=b"ustar  \0", tail=tail)


def expand(entry: Entry, tar: bytes) -> bytes:
    content = bytearray(entry.size)
    packed = entry.offset
    for offset, length in entry.sparse or ():
        content[offset : offset + length] = tar[packed : packed + length]
        packed += length
    return bytes(content)


@pytest.mark.package("tar")
@pytest.mark.parametrize(
    "form",
    [
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ],
    ids=["gnu", "0.0", "0.1", "1.0"],
)
@pytest.mark.parametrize("count", [0, 1, 3, 60])
def test_every_map_that_gnu_tar_writes_gives_the_file_back(
    tmp_path: Path, form: list[str], count: int
) -> None:
    with open(tmp_path / "holes", "wb") as file:
        for number in range(count):
            file.seek(number * MEGABYTE + 8192 * (number % 3))
            file.write(b"data %d" % number * 50)
        file.truncate((count + 1) * MEGABYTE)
    (tmp_path / "next").write_bytes(b"next")
    command = ["tar", "--create", "--sparse", *form, "--file=archive", "holes", "next"]
    subprocess.run(command, cwd=tmp_path, check=True)
    tar = (tmp_path / "archive").read_bytes()

    holes, following = list(read_entries(MemoryTar(tar)))

    assert holes.path == b"holes"
    assert expand(holes, tar) == (tmp_path / "holes").read_bytes()
    assert tar[following.offset : following.offset + following.size] == b"next"


MALFORMED = {
    "regions out of order": [(b"1000", b"10"), (b"0", b"10")],
    "regions that overlap": [(b"0", b"20"), (b"10", b"10")],
    "a region past the end": [(b"7777777", b"20")],
    "fewer bytes than stored": [(b"0", b"10")],
    "no number": [(b"x", b"20")],
}


@pytest.mark.parametrize("pairs", MALFORMED.values(), ids=MALFORMED)
def test_malformed_old_maps_are_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidLayer):
        read(old_header(pairs, 4096).member(b"x" * 16))


@pytest.mark.parametrize(
    "records",
    [
        ((b"GNU.sparse.map", b"0"), (b"GNU.sparse.size", b"9")),
        ((b"GNU.sparse.map", b"0,4"),),
        ((b"GNU.sparse.map", b"0,-4"), (b"GNU.sparse.size", b"9")),
        ((b"GNU.sparse.map", b"0,5"), (b"GNU.sparse.size", b"9")),
        ((b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9")),
        ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9")),
        ((b"GNU.sparse.size", b"9"),),
    ],
)
def test_malformed_pax_maps_are_refused(records: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(InvalidLayer):
        read(pax_member(*records), RawHeader().member(b"data"))


def test_a_map_of_too_many_regions_is_refused_before_it_is_read() -> None:
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))

    with pytest.raises(LimitExceeded):
        read(pax_member(*records), RawHeader().member(b"99999999\n".ljust(512, b"\0")))


def test_a_file_longer_than_an_index_can_address_is_refused() -> None:
    records = ((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", b"%d" % (1 << 50)))

    with pytest.raises(LimitExceeded):
        read(pax_member(*records), RawHeader().member(b"data"))


def test_an_old_map_whose_extension_is_missing_is_refused() -> None:
    with pytest.raises(InvalidLayer):
        list(read_entries(MemoryTar(old_header([], 4096, more=True).block())))
