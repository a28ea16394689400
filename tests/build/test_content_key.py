"""The key of what is copied: what it depends on, and what it does not."""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from layerstore.build import content_key as module
from layerstore.build.content_key import content_key
from layerstore.build.context import Context, Fidelity, Found
from layerstore.build.digest_cache import DigestCache
from layerstore.build.selection import select
from layerstore.errors import Conflict
from layerstore.oci.digest import Digest

OpenContext = Callable[..., Context]
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def make(root: Path, *, order: Sequence[str] = ("a", "d/b", "d/c", "e/")) -> Path:
    root.mkdir()
    for path in order:
        target = root / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.write_text(path)
    (root / "link").symlink_to("a")
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def key(context: Context, *sources: str, cache: DigestCache | None = None) -> Digest:
    return content_key(context, select(context, sources or ["."]), cache)


def test_the_same_content_elsewhere_has_the_same_key(tmp_path: Path, open_context: OpenContext) -> None:
    one = make(tmp_path / "one")
    other = make(tmp_path / "a much longer name", order=("e/", "d/c", "a", "d/b"))
    for path in other.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)

    assert key(open_context(one)) == key(open_context(other))


@pytest.mark.root
def test_owners_count_only_where_they_are_copied(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")
    before = [key(open_context(root, fidelity=each)) for each in Fidelity]

    os.chown(root / "a", 1, 2)

    after = [key(open_context(root, fidelity=each)) for each in Fidelity]
    assert before[0] == after[0]
    assert before[1] != after[1]


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "a").write_text("A"),
    "size": lambda root: (root / "a").write_text("longer"),
    "file mode": lambda root: (root / "a").chmod(0o600),
    "directory mode": lambda root: (root / "d").chmod(0o700),
    "set-id bit": lambda root: (root / "a").chmod(0o4644),
    "name": lambda root: (root / "a").rename(root / "b"),
    "place": lambda root: (root / "d/b").rename(root / "e/b"),
    "a file more": lambda root: (root / "z").touch(),
    "a file less": lambda root: (root / "a").unlink(),
    "a directory less": lambda root: (root / "e").rmdir(),
    "link target": lambda root: ((root / "link").unlink(), (root / "link").symlink_to("b")),
    "kind": lambda root: ((root / "a").unlink(), (root / "a").mkdir(0o644)),
    "hardlink": lambda root: ((root / "d/c").unlink(), (root / "d/c").hardlink_to(root / "d/b")),
    "pipe": lambda root: ((root / "a").unlink(), os.mkfifo(root / "a")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_content_changes_the_key(
    tmp_path: Path, open_context: OpenContext, change: str
) -> None:
    root = make(tmp_path / "root")
    before = key(open_context(root))

    CHANGES[change](root)

    assert key(open_context(root)) != before


def test_two_files_of_one_content_are_not_one_file(tmp_path: Path, open_context: OpenContext) -> None:
    for name in ("linked", "copied"):
        root = tmp_path / name
        root.mkdir()
        (root / "a").write_text("x")
    (tmp_path / "linked/b").hardlink_to(tmp_path / "linked/a")
    shutil.copy2(tmp_path / "copied/a", tmp_path / "copied/b")

    assert key(open_context(tmp_path / "linked")) != key(open_context(tmp_path / "copied"))


@pytest.mark.root
def test_file_capabilities_change_the_key(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")
    before = key(open_context(root))

    os.setxattr(root / "a", "security.capability", CAPABILITY)

    assert key(open_context(root)) != before


def test_other_attributes_count_only_where_they_are_copied(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")
    before = [key(open_context(root, fidelity=each)) for each in Fidelity]
    try:
        os.setxattr(root / "a", "user.origin", b"somewhere")
    except OSError:
        pytest.skip("no user attributes here")

    after = [key(open_context(root, fidelity=each)) for each in Fidelity]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_file_and_a_directory_of_it_differ(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")

    keys = {key(open_context(root), source) for source in ("a", "d", "d/b", "e", ".")}

    assert len(keys) == 5


def test_what_is_ignored_does_not_count(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")
    before = key(open_context(root, "d"))

    (root / "d/b").write_text("other")

    assert key(open_context(root, "d")) == before


def test_an_unchanged_context_is_not_read_again(
    tmp_path: Path, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, where = make(tmp_path / "root"), os.fspath(tmp_path / "digests")
    context = open_context(root)
    future = (root / "a").stat().st_ctime_ns + 10**10
    cache = DigestCache(where, lambda: future)
    first = key(context, cache=cache)
    cache.save()
    monkeypatch.setattr(Context, "open", lambda *_: pytest.fail("a file was read again"))

    assert key(context, cache=DigestCache(where)) == first


def test_only_what_changed_is_read_again(
    tmp_path: Path, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "root")
    context = open_context(root)
    cache = DigestCache(os.fspath(tmp_path / "digests"), lambda: (root / "a").stat().st_ctime_ns + 10**10)
    key(context, cache=cache)
    read: list[str] = []
    opened = Context.open
    monkeypatch.setattr(
        Context, "open", lambda self, found: (read.append(found.path), opened(self, found))[1]
    )
    (root / "d/b").write_text("other")

    key(context, cache=cache)

    assert read == ["d/b"]


def test_many_and_large_files_are_read_side_by_side(tmp_path: Path, open_context: OpenContext) -> None:
    root = tmp_path / "root"
    root.mkdir()
    large = random.Random(1).randbytes(3 << 20)
    for number in range(600):
        (root / str(number)).write_bytes(large if number % 200 == 0 else str(number).encode())

    assert key(open_context(root)) == key(open_context(root))


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "root")
    context = open_context(root)
    attributes_of = module.attributes_of

    def change_meanwhile(fd: int, fidelity: Fidelity) -> dict[bytes, bytes]:
        (root / "a").write_text("changed")
        return attributes_of(fd, fidelity)

    monkeypatch.setattr(module, "attributes_of", change_meanwhile)

    with pytest.raises(Conflict, match="changed meanwhile"):
        key(context, "a")


def test_a_link_that_is_gone_is_refused(tmp_path: Path, open_context: OpenContext) -> None:
    root = make(tmp_path / "root")
    context = open_context(root)
    selections = select(context, ["."])
    (root / "link").unlink()

    with pytest.raises(Conflict):
        content_key(context, selections)
    assert isinstance(selections[0].items[0].found, Found)


@pytest.mark.root
def test_devices_are_told_apart(tmp_path: Path, open_context: OpenContext) -> None:
    keys = set()
    for number in (1, 2):
        root = tmp_path / str(number)
        root.mkdir()
        os.mknod(root / "device", 0o020600, os.makedev(1, number))
        keys.add(key(open_context(root)))

    assert len(keys) == 2
