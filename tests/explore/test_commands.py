"""ls, cat, diff and explore as commands: what they print, in which form, and how they fail."""

import json
import tarfile
from pathlib import Path

import pytest

from fixtures.images.entries import (
    Entry,
    character_device,
    directory,
    fifo,
    file,
    hardlink,
    symlink,
    whiteout,
)
from lstore.engine.engine import Engine
from tests.explore.conftest import HOSTILE, Keep, Lstore, Stack

SPARSE = Entry(
    "sparse",
    kind=tarfile.REGTYPE,
    data=b"1\n4096\n3\n".ljust(512, b"\0") + b"end",
    pax={
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.realsize": "8192",
    },
)
ROOT: Stack = [
    [
        directory("usr"),
        directory("usr/bin"),
        Entry("usr/bin/su", mode=0o4755, uid=1, gid=22, data=b"#!/bin/sh\n"),
        hardlink("usr/bin/again", "usr/bin/su"),
        symlink("bin", "usr/bin"),
        symlink("outside", "../../../../usr"),
        symlink("loop", "loop"),
        symlink("absolute", "/usr/bin/su"),
        character_device("null", 1, 3, mode=0o666),
        fifo("pipe"),
        file(".hidden"),
        SPARSE,
    ],
    [directory("usr/lib"), file("gone")],
    [whiteout("gone")],
]


@pytest.fixture
def image(keep: Keep) -> str:
    return keep(ROOT)


def test_names_are_listed_in_byte_order_without_hidden_ones(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("ls", image)

    names = ["absolute", "bin", "loop", "null", "outside", "pipe", "sparse", "usr"]
    assert (result.status, result.out.decode().split()) == (0, names)
    assert run_lstore("ls", "-a", image).out.decode().split() == [".hidden", *names]


@pytest.mark.parametrize("path", ["/bin", "bin/", "outside/bin", "/usr/../usr/bin/.", "../usr/bin"])
def test_symlinks_are_followed_inside_the_image(run_lstore: Lstore, image: str, path: str) -> None:
    assert run_lstore("ls", image, path).out == b"again\nsu\n"


def test_the_long_form_is_that_of_gnu_ls(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("ls", "-l", image)

    *others, directory_line = result.out.decode().splitlines()
    assert others == [
        "lrwxrwxrwx 1 0 0   11 2023-11-14 22:13 absolute -> /usr/bin/su",
        "lrwxrwxrwx 1 0 0    7 2023-11-14 22:13 bin -> usr/bin",
        "lrwxrwxrwx 1 0 0    4 2023-11-14 22:13 loop -> loop",
        "crw-rw-rw- 1 0 0 1, 3 2023-11-14 22:13 null",
        "lrwxrwxrwx 1 0 0   15 2023-11-14 22:13 outside -> ../../../../usr",
        "prw-r--r-- 1 0 0    0 2023-11-14 22:13 pipe",
        "-rw-r--r-- 1 0 0 8192 2023-11-14 22:13 sparse",
    ]
    assert (directory_line[:16], directory_line[-4:]) == ("drwxr-xr-x 4 0 0", " usr")


def test_a_link_or_a_file_that_is_named_is_shown_itself(run_lstore: Lstore, image: str) -> None:
    assert run_lstore("ls", "-l", image, "/bin").out.endswith(b" /bin -> usr/bin\n")
    assert run_lstore("ls", "-l", image, "/bin/su").out == b"-rwsr-xr-x 2 1 22 10 2023-11-14 22:13 /bin/su\n"
    assert run_lstore("ls", image, "/.hidden").out == b"/.hidden\n"


def test_everything_below_is_listed_directory_by_directory(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("ls", "-R", image, "/usr")

    assert result.out == b"/usr:\nbin\nlib\n\n/usr/bin:\nagain\nsu\n\n/usr/lib:\n"


def test_files_are_listed_as_json_and_by_template(run_lstore: Lstore, image: str) -> None:
    rows = [
        json.loads(line) for line in run_lstore("ls", "-R", "--format", "json", image, "/").out.splitlines()
    ]

    assert {row["Path"]: (row["Type"], row["Mode"], row["Size"]) for row in rows}["/usr/bin/su"] == (
        "regular",
        "-rwsr-xr-x",
        "10",
    )
    assert run_lstore("ls", "--format", "{{.Name}}={{.Target}}", image, "/bin/").out == b"again=\nsu=\n"


def test_contents_are_written_as_they_are(run_lstore: Lstore, keep: Keep) -> None:
    data = bytes(range(256)) * 8000
    image = keep([[file("binary", data), file("empty")]])

    result = run_lstore("cat", image, "binary", "empty", "/./binary", is_terminal=True)

    assert (result.status, result.out, result.err) == (0, data + data, "")


def test_holes_are_read_as_zeros(run_lstore: Lstore, image: str) -> None:
    assert run_lstore("cat", image, "sparse").out == bytes(4096) + b"end" + bytes(4093)


def test_a_file_is_read_through_symlinks_and_other_names(run_lstore: Lstore, image: str) -> None:
    assert run_lstore("cat", image, "absolute", "outside/bin/again").out == b"#!/bin/sh\n" * 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone", "lstore: cannot find 'gone': no 'gone' there"),
        ("usr/bin/su/x", "lstore: cannot find 'usr/bin/su/x': no 'x' there"),
        ("/usr", "lstore: cannot read '/usr': is a directory"),
        ("pipe", "lstore: cannot read 'pipe': it is a fifo, not a file"),
        ("loop", "lstore: cannot reach 'loop': more than 40 symlinks"),
    ],
)
def test_what_cannot_be_read_is_named(run_lstore: Lstore, image: str, path: str, message: str) -> None:
    result = run_lstore("cat", image, path)

    assert (result.status, result.out, result.err.splitlines()[0]) == (1, b"", message)


def test_one_missing_file_does_not_hide_the_others(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("cat", image, "nothing", "bin/su")

    assert (result.status, result.out) == (1, b"#!/bin/sh\n")


@pytest.mark.parametrize("path", ["/nothing", "usr/bin/su/"])
def test_listing_what_is_not_there_fails(run_lstore: Lstore, image: str, path: str) -> None:
    result = run_lstore("ls", image, path)

    assert (result.status, result.out) == (1, b"")
    assert path in result.err


def test_both_drivers_list_the_same(run_lstore: Lstore, image: str) -> None:
    assert run_lstore("--driver", "directory", "ls", "-lR", image).out == run_lstore("ls", "-lR", image).out


@pytest.mark.parametrize("driver", ["erofs", "directory"])
@pytest.mark.parametrize(
    ("stack", "names"),
    [([[file("kept"), whiteout("hidden")]], b"kept\n"), ([[file("one")]], b"one\n"), ([[]], b""), ([], b"")],
)
def test_images_of_a_layer_or_none_are_listed(
    run_lstore: Lstore, keep: Keep, driver: str, stack: Stack, names: bytes
) -> None:
    result = run_lstore("--driver", driver, "ls", keep(stack))

    assert (result.status, result.out, result.err) == (0, names, "")


def test_differences_are_lines_as_dockers(run_lstore: Lstore, keep: Keep) -> None:
    one = keep([[file("a", b"1"), file("b", b"2"), file("same")]], "one:1")
    other = keep([[file("a", b"1", mode=0o600, uid=3), file("c"), file("same")]], "other:1")

    result = run_lstore("diff", one, other)

    assert result.out.decode() == "C /a (mode 0644 → 0600, owner 0:0 → 3:0)\nD /b\nA /c\n"
    assert result.err.startswith("layers: 0 (0B) in both, 1 (")


def test_differences_are_told_as_json(run_lstore: Lstore, keep: Keep) -> None:
    one, other = keep([[file("a", b"1")]], "one:1"), keep([[symlink("a", "b")]], "other:1")

    document = json.loads(run_lstore("diff", "--format", "json", one, other).out)

    assert document["images"] == [one, other]
    assert document["differences"] == [
        {
            "letter": "C",
            "path": "/a",
            "aspects": ["type"],
            "before": {"type": "regular", "mode": "0644", "uid": 0, "gid": 0, "bytes": 1, "xattrs": {}},
            "after": {
                "type": "symlink",
                "mode": "0777",
                "uid": 0,
                "gid": 0,
                "bytes": 0,
                "xattrs": {},
                "target": "b",
            },
        }
    ]


def test_two_images_are_compared_no_more(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("diff", *[image] * 3)

    assert (result.status, result.out) == (125, b"")
    assert result.err == (
        "lstore: 'lstore diff' shows one container, or compares two images\n  try: lstore diff --help\n"
    )


def test_one_argument_is_a_container(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("diff", image)

    assert (result.status, result.out) == (1, b"")
    assert result.err.startswith("lstore: no such container: ")


def test_the_report_tells_score_layers_and_lists(run_lstore: Lstore, keep: Keep, layered: Stack) -> None:
    text = run_lstore("explore", keep(layered)).out.decode()

    assert "Efficiency:  10.9 %: of 1.91kB stored, 1.7kB are not shown" in text
    assert "1kB       0           2           /data/big" in text
    assert "300B      2         0,1       /data/twin" in text


def test_the_score_is_never_rounded_up_to_a_perfect_one(run_lstore: Lstore, keep: Keep) -> None:
    image = keep([[file("big", b"x" * 100_000), file("small", b"1")], [whiteout("small")]])

    assert "Efficiency:  99.9 %" in run_lstore("explore", image).out.decode()


def test_a_tree_needs_a_terminal(run_lstore: Lstore, image: str) -> None:
    result = run_lstore("explore", "--format", "tree", image)

    assert (result.status, result.err.splitlines()[0]) == (
        125,
        "lstore: cannot show a tree: no terminal here",
    )


def test_hostile_names_reach_no_terminal(run_lstore: Lstore, keep: Keep) -> None:
    one = keep([[file(name, b"x" * 9) for name in HOSTILE], [whiteout(HOSTILE[1])]], "one:1")
    other = keep([[symlink("link", HOSTILE[0])]], "other:1")

    for arguments in (["ls", "-laR", one], ["explore", "--format", "text", one], ["diff", one, other]):
        result = run_lstore(*arguments, is_terminal=True)
        assert result.status == 0
        assert_harmless(result.out.decode())
    assert_harmless(run_lstore("ls", "-l", other, is_terminal=True).out.decode())


def assert_harmless(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\u202e" not in text
    assert not any(line.startswith("line") for line in text.splitlines())


def test_hostile_names_survive_in_json_byte_for_byte(run_lstore: Lstore, keep: Keep) -> None:
    one, other = keep([[file(name, b"x") for name in HOSTILE]], "one:1"), keep([[]], "other:1")
    expected = {f"/{name}" for name in HOSTILE}

    listed = [json.loads(line) for line in run_lstore("ls", "-aR", "--format", "json", one).out.splitlines()]
    compared = json.loads(run_lstore("diff", "--format", "json", one, other).out)
    explored = json.loads(run_lstore("explore", "--format", "json", one).out)

    assert {row["Path"] for row in listed if row["Type"] == "regular"} == expected
    assert {each["path"] for each in compared["differences"] if each["before"]["bytes"]} == expected
    assert {each["path"] for each in explored["largestFiles"]} == expected


def test_names_are_raw_bytes_for_other_programs(run_lstore: Lstore, keep: Keep) -> None:
    image = keep([[file("\udcff\udcfe")]])

    assert run_lstore("ls", image).out == b"\xff\xfe\n"


def test_an_image_that_is_not_there_is_one_line(run_lstore: Lstore, engine: Engine, tmp_path: Path) -> None:
    for arguments in (["ls", "no"], ["cat", "no", "x"], ["diff", "no", "no"], ["explore", "no"]):
        result = run_lstore(*arguments)
        assert (result.status, result.err) == (
            1,
            "lstore: no such image: no:latest\n  try: lstore pull no:latest\n",
        )
