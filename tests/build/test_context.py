"""Build contexts: what is seen, in which order, and that nothing outside is."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.build.context import MAX_IGNORE_FILE, Context, Found, read_ignore_file
from layerstore.errors import Conflict, InvalidInput, LimitExceeded

OpenContext = Callable[..., Context]


def make(root: Path, *paths: str) -> None:
    """Files, and directories where the path ends in a slash."""
    for path in paths:
        target = root / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.write_text(path)


def paths(context: Context, top: str = "") -> list[str]:
    return [found.path for found in context.walk(top)]


def test_a_walk_is_sorted_by_bytes_directories_first_seen_first(
    tmp_path: Path, open_context: OpenContext
) -> None:
    make(tmp_path, "b", "a/z", "a/B", "a/é", "a.b", "Z/", "a/c/d")

    assert paths(open_context(tmp_path)) == ["Z", "a", "a/B", "a/c", "a/c/d", "a/z", "a/é", "a.b", "b"]
    assert paths(open_context(tmp_path), "a/c") == ["a/c/d"]


def test_names_may_be_any_bytes(tmp_path: Path, open_context: OpenContext) -> None:
    for name in (b"\xff", b"\xc3\xa9", b"a\nb"):
        (tmp_path / os.fsdecode(name)).touch()

    assert [os.fsencode(path) for path in paths(open_context(tmp_path))] == [b"a\nb", b"\xc3\xa9", b"\xff"]


def test_links_are_listed_and_not_followed(tmp_path: Path, open_context: OpenContext) -> None:
    make(tmp_path, "dir/file")
    (tmp_path / "link").symlink_to("dir")

    context = open_context(tmp_path)

    assert paths(context) == ["dir", "dir/file", "link"]
    link = context.find("link")
    assert link is not None
    assert context.link_target(link) == b"dir"


def test_sockets_are_left_out(tmp_path: Path, open_context: OpenContext) -> None:
    make(tmp_path, "file")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s"))

        assert paths(open_context(tmp_path)) == ["file"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a"], ["b", "b/x", "c"]),
        (["*", "!b"], ["b", "b/x"]),
        (["**/x"], ["a", "a/d", "a/d/z", "a/y", "b", "c"]),
        (["a", "!a/d/z"], ["a", "a/d", "a/d/z", "b", "b/x", "c"]),
        (["a", "!a/*/nothing"], ["b", "b/x", "c"]),
        (["**", "!**/y"], ["a", "a/y"]),
        (["**"], []),
    ],
)
def test_what_is_ignored_is_not_there(
    tmp_path: Path, open_context: OpenContext, patterns: list[str], expected: list[str]
) -> None:
    make(tmp_path, "a/d/z", "a/x", "a/y", "b/x", "c")

    context = open_context(tmp_path, *patterns)

    assert paths(context) == expected
    everything = ["a", "a/d", "a/d/z", "a/x", "a/y", "b", "b/x", "c"]
    assert [path for path in everything if context.find(path) is not None] == expected


def test_a_very_deep_context_is_walked(tmp_path: Path, open_context: OpenContext) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.mkdir("e", dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)

    assert len(paths(open_context(tmp_path))) == 600


@pytest.mark.parametrize(
    ("link", "target", "path", "resolved"),
    [
        ("l", "dir", "l/file", "dir/file"),
        ("l", "/dir", "l/file", "dir/file"),
        ("l", "../../../dir", "l", "dir"),
        ("l", "/etc/passwd", "l", "etc/passwd"),
        ("dir/l", "../other", "dir/l", "other"),
        ("l", "missing/x", "l/y", "missing/x/y"),
        ("l", ".", "l/l/dir/file", "dir/file"),
    ],
)
def test_sources_are_resolved_inside_the_context(
    tmp_path: Path, open_context: OpenContext, link: str, target: str, path: str, resolved: str
) -> None:
    make(tmp_path, "dir/file")
    (tmp_path / link).symlink_to(target)

    assert open_context(tmp_path).resolve(path) == resolved


def test_a_loop_of_links_is_refused(tmp_path: Path, open_context: OpenContext) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(InvalidInput, match="too many levels of symbolic links"):
        open_context(tmp_path).resolve("a")


def test_reading_never_leads_through_a_link(tmp_path: Path, open_context: OpenContext) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("secret")
    make(tmp_path / "context", "dir/file")
    context = open_context(tmp_path / "context")
    found = context.find("dir/file")
    assert found is not None
    (tmp_path / "context/dir").rename(tmp_path / "context/moved")
    (tmp_path / "context/dir").symlink_to(canary)

    with pytest.raises(Conflict):
        context.open(found)
    assert context.find("dir/file") is None
    assert paths(context) == ["dir", "moved", "moved/file"]
    assert context.names("dir") == []


def test_a_file_that_changed_is_not_read(tmp_path: Path, open_context: OpenContext) -> None:
    make(tmp_path, "file")
    context = open_context(tmp_path)
    found = context.find("file")
    assert found is not None
    (tmp_path / "file").write_text("longer than before")

    with pytest.raises(Conflict, match="changed meanwhile"):
        context.open(found)


def test_a_pipe_in_place_of_a_file_blocks_nobody(tmp_path: Path, open_context: OpenContext) -> None:
    make(tmp_path, "file")
    context = open_context(tmp_path)
    found = context.find("file")
    assert found is not None
    (tmp_path / "file").unlink()
    os.mkfifo(tmp_path / "file")

    with pytest.raises(Conflict):
        context.open(Found("file", found.status))


def ignore_of(root: Path, dockerfile: str = "Dockerfile"):
    fd = os.open(root, os.O_RDONLY)
    try:
        return read_ignore_file(fd, dockerfile)
    finally:
        os.close(fd)


def test_the_ignore_file_of_a_dockerfile_has_precedence(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n")
    make(tmp_path, "build/")
    (tmp_path / "build/x.Dockerfile.dockerignore").write_text("b\n")

    assert ignore_of(tmp_path).excludes("a")
    assert not ignore_of(tmp_path, "build/x.Dockerfile").excludes("a")
    assert ignore_of(tmp_path, "build/x.Dockerfile").excludes("b")


def test_without_an_ignore_file_nothing_is_left_out(tmp_path: Path) -> None:
    assert ignore_of(tmp_path).patterns == ()


def test_an_ignore_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("a\n")
    (tmp_path / ".dockerignore").symlink_to("real")

    with pytest.raises(InvalidInput, match="a symbolic link"):
        ignore_of(tmp_path)


def test_an_ignore_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".dockerignore")

    with pytest.raises(InvalidInput, match="no plain file"):
        ignore_of(tmp_path)


def test_ignore_files_are_bounded(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"#" * (MAX_IGNORE_FILE + 1))

    with pytest.raises(LimitExceeded):
        ignore_of(tmp_path)
