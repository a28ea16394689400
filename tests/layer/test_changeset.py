import pytest

from layerstore.errors import InvalidLayer
from layerstore.layer.changeset import read_changes
from layerstore.layer.entry import Entry, Kind


def one(path: bytes, kind: Kind = Kind.REGULAR, **fields: object) -> Entry | None:
    changes = list(read_changes([Entry(path, kind)._replace(**fields)]))
    return changes[0] if changes else None


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (b".wh.a", Entry(b"a", Kind.WHITEOUT)),
        (b"etc/.wh.hosts", Entry(b"etc/hosts", Kind.WHITEOUT)),
        (b"etc/.wh..hidden", Entry(b"etc/.hidden", Kind.WHITEOUT)),
        (b"etc/.wh.....", Entry(b"etc/....", Kind.WHITEOUT)),
        (b"etc/.wh..wh..opq", Entry(b"etc", Kind.OPAQUE)),
        (b".wh..wh..opq", Entry(b"", Kind.OPAQUE)),
    ],
)
def test_whiteouts_name_what_they_hide(path: bytes, change: Entry) -> None:
    assert one(path) == change


@pytest.mark.parametrize("path", [b".wh..wh.plnk", b"a/.wh..wh.aufs", b".wh..wh.orph"])
def test_aufs_bookkeeping_is_dropped(path: bytes) -> None:
    assert one(path) is None


@pytest.mark.parametrize("path", [b".wh.", b".wh..", b".wh...", b"a/.wh.", b"a/.wh..", b"a/.wh..."])
def test_a_whiteout_of_nothing_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidLayer, match="whiteout"):
        one(path)


@pytest.mark.parametrize(
    "kind", [kind for kind in Kind if kind not in (Kind.DIRECTORY, Kind.WHITEOUT, Kind.OPAQUE)]
)
def test_the_root_can_only_be_a_directory(kind: Kind) -> None:
    with pytest.raises(InvalidLayer, match="root"):
        one(b"", kind)

    assert one(b"", Kind.DIRECTORY, mode=0o700) == Entry(b"", Kind.DIRECTORY, 0o700)


def test_a_hardlink_to_the_root_is_refused() -> None:
    with pytest.raises(InvalidLayer, match="root"):
        one(b"a", Kind.HARDLINK)


def test_overlayfs_s_own_marks_are_not_let_in() -> None:
    xattrs = {b"trusted.overlay.opaque": b"y", b"user.overlay.redirect": b"/", b"user.kept": b"1"}

    assert one(b"null", Kind.CHARACTER) is None
    assert one(b"zero", Kind.CHARACTER, major=1, minor=5) is not None
    assert one(b"a", Kind.DIRECTORY, xattrs=xattrs) == Entry(
        b"a", Kind.DIRECTORY, xattrs={b"user.kept": b"1"}
    )
