import io
import tarfile
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.raw_tar import BLOCK, END, MemoryTar, RawHeader, base256, gnu_long, pax_member, pax_records
from layerstore.errors import InvalidLayer, LimitExceeded, UnsupportedContent
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.pax import parse_records
from layerstore.layer.tar import read_entries

LONG = b"d" * 90 + b"/" + b"e" * 90 + b"/" + b"f" * 90


def read(*members: bytes, end: bytes = END) -> list[Entry]:
    return list(read_entries(MemoryTar(b"".join(members) + end)))


def read_one(*members: bytes) -> Entry:
    (entry,) = read(*members)
    return entry


names = st.lists(
    st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60
    ).filter(lambda part: part not in (".", "..") and len(part.encode()) < 256),
    min_size=1,
    max_size=5,
).map("/".join)


@st.composite
def tar_infos(draw: st.DrawFn, *, is_pax: bool) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(names))
    info.type = draw(
        st.sampled_from(
            [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
        )
    )
    info.mode = draw(st.integers(0, 0o7777))
    info.uid, info.gid = draw(st.integers(0, 2**32 - 2)), draw(st.integers(0, 2**32 - 2))
    seconds = st.integers(0 if is_pax else -(2**40), 2**40)
    info.mtime = draw(seconds | seconds.map(lambda at: at + 0.5)) if is_pax else draw(seconds)
    if info.type == tarfile.SYMTYPE:
        info.linkname = draw(names)
    if info.type == tarfile.CHRTYPE:
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
    data = draw(st.binary(max_size=1500)) if info.isreg() else b""
    info.size = len(data)
    return info, data


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(data=st.data())
def test_what_tarfile_writes_is_read_as_it_was_meant(form: int, data: st.DataObject) -> None:
    members = data.draw(st.lists(tar_infos(is_pax=form == tarfile.PAX_FORMAT), max_size=4))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    source = MemoryTar(buffer.getvalue())

    entries = list(read_entries(source))

    assert len(entries) == len(members)
    for entry, (info, content) in zip(entries, members, strict=True):
        assert entry.path == info.name.encode()
        assert (entry.mode, entry.uid, entry.gid, entry.size) == (info.mode, info.uid, info.gid, len(content))
        assert entry.mtime * 2 + entry.nsec // 500_000_000 == info.mtime * 2
        assert source.data[entry.offset : entry.offset + entry.size] == content
        assert entry.link == (info.linkname.encode() if info.issym() else b"")
        assert (entry.major, entry.minor) == ((info.devmajor, info.devminor) if info.ischr() else (0, 0))


def test_file_data_is_never_read() -> None:
    source = MemoryTar(RawHeader().member(b"x" * 100_000) + RawHeader(name=b"other").member() + END)

    entries = list(read_entries(source))

    assert [entry.path for entry in entries] == [b"file", b"other"]
    assert source.read <= 5 * BLOCK


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        (b"0", Kind.REGULAR),
        (b"\0", Kind.REGULAR),
        (b"7", Kind.REGULAR),
        (b"1", Kind.HARDLINK),
        (b"2", Kind.SYMLINK),
        (b"3", Kind.CHARACTER),
        (b"4", Kind.BLOCK),
        (b"5", Kind.DIRECTORY),
        (b"6", Kind.FIFO),
        (b"D", Kind.DIRECTORY),
    ],
)
def test_each_type_is_known(flag: bytes, kind: Kind) -> None:
    assert read_one(RawHeader(kind=flag, link=b"target").member()).kind is kind


def test_a_v7_name_with_a_slash_at_its_end_is_a_directory() -> None:
    entry = read_one(RawHeader(name=b"etc/", magic=b"", kind=b"\0").member())

    assert (entry.path, entry.kind) == (b"etc", Kind.DIRECTORY)


def test_a_ustar_prefix_stands_before_the_name_but_gnus_times_do_not() -> None:
    assert read_one(RawHeader(tail=b"some/prefix").member()).path == b"some/prefix/file"
    assert read_one(RawHeader(tail=b"14524770400", magic=b"ustar  \0").member()).path == b"file"


def test_numbers_may_be_binary_blank_or_padded() -> None:
    entry = read_one(
        RawHeader(
            uid=base256(2_000_000_000, 8), gid=b"        ", mtime=base256(-5, 12), mode=b"   644 \0"
        ).member()
    )

    assert (entry.uid, entry.gid, entry.mtime, entry.mode) == (2_000_000_000, 0, -5, 0o644)


def test_a_signed_checksum_is_accepted() -> None:
    assert read_one(RawHeader(name=b"\xff\xfe", is_signed=True).member()).path == b"\xff\xfe"


def test_gnu_long_names_and_links_hold_for_one_entry() -> None:
    first, second = read(
        gnu_long(b"L", LONG),
        gnu_long(b"K", LONG + b"x"),
        RawHeader(kind=b"2", link=b"short").member(),
        RawHeader(kind=b"2", link=b"short").member(),
    )

    assert (first.path, first.link) == (LONG, LONG + b"x")
    assert (second.path, second.link) == (b"file", b"short")


def test_pax_records_override_the_header_for_one_entry() -> None:
    records = (
        (b"path", LONG),
        (b"linkpath", b"to"),
        (b"uid", b"70000"),
        (b"gid", b"3"),
        (b"mtime", b"-1.25"),
    )

    first, second = read(pax_member(*records), RawHeader(kind=b"2", link=b"t").member(), RawHeader().member())

    assert (first.path, first.link, first.uid, first.gid) == (LONG, b"to", 70000, 3)
    assert (first.mtime, first.nsec) == (-2, 750_000_000)
    assert second.path == b"file"


def test_a_pax_size_overrides_the_header_and_moves_what_follows() -> None:
    data = b"x" * 700
    member = RawHeader(size=b"00000000000\0").block() + data + bytes(-len(data) % BLOCK)

    first, second = read(pax_member((b"size", b"700")), member, RawHeader(name=b"next").member())

    assert (first.size, second.path) == (700, b"next")


def test_global_records_hold_until_overridden_or_taken_back() -> None:
    entries = read(
        pax_member((b"uid", b"5"), (b"comment", b"x"), kind=b"g"),
        RawHeader().member(),
        pax_member((b"uid", b"6")),
        RawHeader().member(),
        pax_member((b"uid", b"")),
        RawHeader(uid=b"0000007\0").member(),
        RawHeader().member(),
    )

    assert [entry.uid for entry in entries] == [5, 6, 7, 5]


def test_extended_attributes_come_in_both_dialects() -> None:
    entry = read_one(
        pax_member(
            (b"SCHILY.xattr.user.raw", b"a\0=\nb"),
            (b"SCHILY.xattr.user.empty", b""),
            (b"LIBARCHIVE.xattr.user.per%25cent", b"AAEC"),
            (b"LIBARCHIVE.xattr.user.raw", b"AAEC"),
        ),
        RawHeader().member(),
    )

    assert entry.xattrs == {b"user.raw": b"a\0=\nb", b"user.empty": b"", b"user.per%cent": b"\0\1\2"}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (b"./etc/./hosts", b"etc/hosts"),
        (b"/etc//hosts", b"etc/hosts"),
        (b"///", b""),
        (b".", b""),
        (b"a/b/", b"a/b"),
        (b"a..b/..c", b"a..b/..c"),
        (b"\xff\xfe/\xe4", b"\xff\xfe/\xe4"),
    ],
)
def test_paths_are_made_relative_and_plain(written: bytes, path: bytes) -> None:
    assert read_one(RawHeader(name=written, kind=b"5").member()).path == path


def test_hardlink_targets_are_made_relative_too_but_symlink_targets_stay() -> None:
    hard = read_one(RawHeader(kind=b"1", link=b"/./bin/sh").member())
    soft = read_one(RawHeader(kind=b"2", link=b"/../bin/./sh").member())

    assert (hard.link, soft.link) == (b"bin/sh", b"/../bin/./sh")


def test_links_devices_and_directories_have_no_data_whatever_their_size_says() -> None:
    members = [
        RawHeader(kind=kind, link=b"t", size=b"00000001000\0").block() for kind in (b"1", b"2", b"5", b"6")
    ]

    entries = read(*members, RawHeader(name=b"last").member())

    assert [entry.size for entry in entries] == [0, 0, 0, 0, 0]
    assert entries[-1].path == b"last"


@pytest.mark.parametrize("end", [END, bytes(BLOCK), b"", END + b"whatever follows is not ours"])
def test_an_archive_ends_with_zero_blocks_or_with_the_file(end: bytes) -> None:
    assert len(read(RawHeader().member(b"data"), end=end)) == 1


def test_nothing_at_all_is_an_empty_layer() -> None:
    assert read(end=b"") == []


REFUSED: Sequence[tuple[str, tuple[bytes, ...], type[Exception]]] = (
    ("a wrong checksum", (RawHeader(checksum_offset=1).member(),), InvalidLayer),
    ("a number in no base", (RawHeader(uid=b"0000008\0").member(),), InvalidLayer),
    ("a signed octal number", (RawHeader(uid=b"-000001\0").member(),), InvalidLayer),
    ("a negative size", (RawHeader(size=base256(-512, 12)).member(),), InvalidLayer),
    ("a huge size", (RawHeader(size=base256(2**80, 12)).member(),), InvalidLayer),
    ("a size past the end", (RawHeader(size=b"00000010000\0").member(),), InvalidLayer),
    ("a negative owner", (RawHeader(uid=base256(-1, 8)).member(),), InvalidLayer),
    ("an owner past 32 bits", (pax_member((b"uid", b"4294967295")), RawHeader().member()), InvalidLayer),
    ("a time out of range", (RawHeader(mtime=base256(2**70, 12)).member(),), InvalidLayer),
    ("a device out of range", (RawHeader(kind=b"3", major=base256(2**12, 8)).member(),), InvalidLayer),
    ("a climbing path", (RawHeader(name=b"a/../../b").member(),), InvalidLayer),
    ("a climbing hardlink", (RawHeader(kind=b"1", link=b"../b").member(),), InvalidLayer),
    ("a NUL in a path", (pax_member((b"path", b"a\0b")), RawHeader().member()), InvalidLayer),
    ("a NUL in a target", (pax_member((b"linkpath", b"a\0b")), RawHeader(kind=b"2").member()), InvalidLayer),
    ("an empty symlink", (RawHeader(kind=b"2").member(),), InvalidLayer),
    ("a path past PATH_MAX", (pax_member((b"path", b"a/" * 2048)), RawHeader().member()), LimitExceeded),
    ("a name past NAME_MAX", (pax_member((b"path", b"a" * 256)), RawHeader().member()), LimitExceeded),
    ("a long target", (pax_member((b"linkpath", b"a" * 4096)), RawHeader(kind=b"2").member()), LimitExceeded),
    ("a GNU name of a megabyte", (gnu_long(b"L", b"a" * (1 << 20)), RawHeader().member()), LimitExceeded),
    ("two MB of PAX", (pax_member((b"comment", b"a" * (2 << 20))), RawHeader().member()), LimitExceeded),
    ("a volume of many", (RawHeader(kind=b"M").member(),), UnsupportedContent),
    ("an unknown type", (RawHeader(kind=b"Z").member(),), UnsupportedContent),
    ("a directory with data", (RawHeader(name=b"a/").member(b"data"),), InvalidLayer),
    ("a lone zero block", (bytes(BLOCK), RawHeader().member()), InvalidLayer),
    ("a name without an entry", (gnu_long(b"L", b"name"),), InvalidLayer),
    ("records without an entry", (pax_member((b"path", b"name")),), InvalidLayer),
    ("a negative PAX size", (pax_member((b"size", b"-1")), RawHeader().member()), InvalidLayer),
    (
        "a PAX size of a thousand digits",
        (pax_member((b"size", b"1" * 1000)), RawHeader().member()),
        InvalidLayer,
    ),
    ("a PAX time in words", (pax_member((b"mtime", b"noon")), RawHeader().member()), InvalidLayer),
    ("a broken base64", (pax_member((b"LIBARCHIVE.xattr.user.a", b"A")), RawHeader().member()), InvalidLayer),
    (
        "a broken escape",
        (pax_member((b"LIBARCHIVE.xattr.user.%z", b"AAAA")), RawHeader().member()),
        InvalidLayer,
    ),
    ("an empty xattr name", (pax_member((b"SCHILY.xattr.", b"a")), RawHeader().member()), InvalidLayer),
    (
        "an xattr past 64 KiB",
        (pax_member((b"SCHILY.xattr.user.a", bytes(65536))), RawHeader().member()),
        LimitExceeded,
    ),
)


@pytest.mark.parametrize(
    ("members", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_malformed_archives_are_refused(members: tuple[bytes, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        read(*members)


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"5 a=",
        b"0 a=b\n",
        b"99 a=b\n",
        b"6 a=bc",
        b"5 ab\n",
        b"4 =\n",
        b"-6 a=b\n",
        b"6\na=b\n",
        b"6 a=b\n\n",
    ],
)
def test_malformed_pax_records_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidLayer):
        read(RawHeader(kind=b"x").member(body), RawHeader().member())


def test_the_last_of_equal_pax_records_wins() -> None:
    assert read_one(pax_member((b"path", b"one"), (b"path", b"two")), RawHeader().member()).path == b"two"


def test_a_tar_cut_anywhere_is_refused_or_lacks_padding_alone() -> None:
    whole = (
        pax_member((b"path", b"name")) + RawHeader().member(b"x" * 600) + RawHeader(name=b"b").member(b"y")
    )
    whole_entries = {0: 0, **dict.fromkeys(range(2176, 2561), 1), **dict.fromkeys(range(3073, 3585), 2)}

    for size in range(0, len(whole) + 1, 64):
        source = MemoryTar(whole[:size])
        if size in whole_entries:
            assert len(list(read_entries(source))) == whole_entries[size]
        else:
            with pytest.raises(InvalidLayer):
                list(read_entries(source))


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=30).filter(
                lambda key: b"=" not in key and not key.startswith(b"GNU.")
            ),
            st.binary(max_size=200),
        ),
        max_size=5,
    )
)
def test_records_survive_whatever_bytes_they_hold(records: list[tuple[bytes, bytes]]) -> None:
    body = pax_records(*records)

    found = parse_records(body)

    assert found == dict(records)


def test_offsets_are_whole_blocks_and_ascend() -> None:
    entries = read(*(RawHeader(name=b"f%d" % n).member(b"x" * (n * 200 + 1)) for n in range(9)))

    assert all(entry.offset % BLOCK == 0 for entry in entries)
    assert all(one.offset + one.size <= other.offset for one, other in pairwise(entries))
