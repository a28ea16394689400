"""`runner.inside`: links of an image are followed inside it, and what is made is made inside."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.inside import locate, make_directory, make_file, read_file


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    (image / "usr" / "lib").mkdir(parents=True)
    (image / "lib").symlink_to("usr/lib")
    (image / "up").symlink_to("../../../../usr")
    (image / "absolute").symlink_to("/usr/new/deep")
    (image / "usr" / "back").symlink_to("../lib")
    (image / "loop").symlink_to("loop")
    (image / "file").write_text("content")
    return image


@pytest.fixture
def root(image: Path) -> Iterator[int]:
    fd = os.open(image, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/", ()),
        ("..", ()),
        ("/usr/lib", ("usr", "lib")),
        ("lib/../x", ("usr", "x")),
        ("up/lib", ("usr", "lib")),
        ("absolute/x", ("usr", "new", "deep", "x")),
        ("usr/back/./y", ("usr", "lib", "y")),
        ("no/../such", ("such",)),
        ("file/below", ("file", "below")),
    ],
)
def test_locate_resolves_links_inside_the_root(root: int, path: str, parts: tuple[str, ...]) -> None:
    assert locate(root, path) == parts


def test_locate_gives_up_on_a_loop(root: int) -> None:
    with pytest.raises(OSError, match="too many symbolic links") as caught:
        locate(root, "loop/x")

    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("a/b/c", "a/b/c"),
        ("absolute", "usr/new/deep"),
        ("absolute/x", "usr/new/deep/x"),
        ("../../up/n", "usr/n"),
    ],
)
def test_directories_and_files_are_made_where_the_links_lead(
    root: int, image: Path, path: str, made: str
) -> None:
    os.close(make_directory(root, f"{path}/directory"))
    os.close(make_file(root, f"{path}/name"))

    assert (image / made / "directory").is_dir()
    assert (image / made / "name").is_file()
    assert not [name for name in os.listdir(image.parent) if name != "image"]


def test_making_what_is_there_opens_it(root: int, image: Path) -> None:
    fd = make_file(root, "file")

    assert os.fstat(fd).st_ino == (image / "file").stat().st_ino
    os.close(fd)
    assert (image / "file").read_text() == "content"


@pytest.mark.parametrize("path", ["usr", "/", "lib"])
def test_a_directory_is_no_file(root: int, path: str) -> None:
    with pytest.raises(IsADirectoryError):
        make_file(root, path)


def test_a_file_is_no_directory(root: int) -> None:
    with pytest.raises(NotADirectoryError):
        make_directory(root, "file")
    with pytest.raises(NotADirectoryError):
        make_directory(root, "file/below")


def test_reading_is_bounded_and_waits_for_no_fifo(root: int, image: Path) -> None:
    os.mkfifo(image / "fifo")

    contents = [read_file(root, path, 4) for path in ("file", "fifo", "usr", "missing", "loop", "file/x")]

    assert contents == [b"cont", None, None, None, None, None]
