"""What differs between two images, by comparing plain trees, and what their layers share."""

import tarfile
from dataclasses import replace

import pytest

from fixtures.images.entries import Entry, character_device, directory, file, hardlink, symlink, whiteout
from lstore.engine.engine import Engine
from lstore.engine.image_diff import ImageDiff, diff_images
from tests.explore.conftest import Keep, Stack

BASE = [directory("etc"), file("etc/hosts", b"one"), symlink("bin", "usr/bin"), file("data", b"0" * 3000)]


def told(found: ImageDiff) -> list[tuple[str, bytes, tuple[str, ...]]]:
    return [(each.letter, each.path, each.aspects) for each in found.differences]


@pytest.mark.parametrize(
    ("entry", "aspects"),
    [
        (file("etc/hosts", b"one", mode=0o600), ("mode",)),
        (file("etc/hosts", b"one", uid=7), ("owner",)),
        (file("etc/hosts", b"one", gid=7), ("owner",)),
        (file("etc/hosts", b"three"), ("size",)),
        (file("etc/hosts", b"two"), ("content",)),
        (replace(file("etc/hosts", b"one"), xattrs={"user.a": b"1"}), ("xattrs",)),
        (symlink("etc/hosts", "elsewhere"), ("type",)),
        (file("etc/hosts", b"two", mode=0o600, uid=7), ("mode", "owner", "content")),
    ],
)
def test_a_changed_file_is_told_with_what_changed(
    engine: Engine, keep: Keep, entry: Entry, aspects: tuple[str, ...]
) -> None:
    one, other = keep([BASE], "one:1"), keep([[*BASE, entry]], "other:1")

    found = diff_images(engine, one, other)

    assert told(found) == [("C", b"etc/hosts", aspects)]


def test_times_and_copies_of_equal_content_are_no_difference(engine: Engine, keep: Keep) -> None:
    later = [replace(each, mtime=each.mtime + 99) for each in BASE]
    one, other = keep([BASE], "one:1"), keep([[], later], "other:1")

    assert told(diff_images(engine, one, other)) == []


def test_what_only_one_image_has_is_added_or_deleted_with_all_below(engine: Engine, keep: Keep) -> None:
    more = [directory("opt"), file("opt/x"), whiteout("bin"), hardlink("twin", "data")]
    one, other = keep([BASE], "one:1"), keep([BASE, more], "other:1")

    there, back = diff_images(engine, one, other), diff_images(engine, other, one)

    assert told(there) == [("D", b"bin", ()), ("A", b"opt", ()), ("A", b"opt/x", ()), ("A", b"twin", ())]
    assert told(back) == [("A", b"bin", ()), ("D", b"opt", ()), ("D", b"opt/x", ()), ("D", b"twin", ())]


def test_targets_and_device_numbers_are_compared(engine: Engine, keep: Keep) -> None:
    one = keep([[symlink("l", "a"), character_device("d", 1, 3)]], "one:1")
    other = keep([[symlink("l", "b"), character_device("d", 1, 5)]], "other:1")

    assert told(diff_images(engine, one, other)) == [("C", b"d", ("device",)), ("C", b"l", ("target",))]


def test_a_directory_that_became_a_file_loses_what_was_in_it(engine: Engine, keep: Keep) -> None:
    one, other = keep([BASE], "one:1"), keep([BASE, [file("etc", b"x")]], "other:1")

    found = diff_images(engine, one, other)

    assert [each[:2] for each in told(found)] == [("C", b"etc"), ("D", b"etc/hosts")]


def test_a_sparse_file_equals_the_plain_one_that_reads_alike(engine: Engine, keep: Keep) -> None:
    sparse = Entry(
        "data",
        kind=tarfile.REGTYPE,
        data=b"1\n0\n3000\n".ljust(512, b"\0") + b"0" * 3000,
        pax={
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "data",
            "GNU.sparse.realsize": "3000",
        },
    )
    one, other = keep([BASE], "one:1"), keep([BASE, [sparse]], "other:1")

    assert told(diff_images(engine, one, other)) == []


def test_layers_that_both_have_are_counted(engine: Engine, keep: Keep, layered: Stack) -> None:
    one, other = keep(layered[:2], "one:1"), keep([layered[0], [file("x")], [file("y")]], "other:1")

    sharing = diff_images(engine, one, other).sharing

    assert (sharing.shared, sharing.only_first, sharing.only_second) == (1, 1, 2)
    assert min(sharing.shared_bytes, sharing.only_first_bytes, sharing.only_second_bytes) > 0
