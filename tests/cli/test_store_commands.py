"""The commands over a real store: what is shown, in docker's words, and what becomes of the store."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from fixtures.images.entries import file, make_tar
from fixtures.images.layout import ARM64, ImageBuilder, compress, layer

HELLO = layer([file("hello", b"world")])


@pytest.fixture
def loaded(lstore, tmp_path: Path):
    """The command line over a store with one image, mine/hello:1."""
    builder = ImageBuilder()
    builder.add_image([HELLO], tag="mine/hello:1", config={"Env": ["A=1"], "Labels": {"tier": "base"}})
    assert lstore("load", "-q", "-i", str(builder.write(tmp_path / "layout"))).status == 0
    return lstore


def image_id(lstore) -> str:
    return lstore("images", "-q", "--no-trunc").out.strip()


def test_images_are_listed_in_dockers_columns(loaded) -> None:
    result = loaded("images")

    header, line = result.out.splitlines()
    assert header == "REPOSITORY   TAG       IMAGE ID       CREATED        SIZE"
    assert line.split()[:3] == ["mine/hello", "1", image_id(loaded).removeprefix("sha256:")[:12]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--format", "{{.Repository}}:{{.Tag}}"], "mine/hello:1\n"),
        (["--format", "table {{.Tag}}\\t{{.Repository}}"], "TAG       REPOSITORY\n1         mine/hello\n"),
        (["--digests", "--format", "{{.Digest}}"], "<none>\n"),
        (["--filter", "label=tier=base", "--format", "{{.Tag}}"], "1\n"),
        (["-f", "dangling=true", "-q"], ""),
        (["mine/*", "--format", "{{.Platform}}"], "linux/amd64\n"),
        (["other", "-q"], ""),
    ],
)
def test_lists_are_shaped_by_flags(loaded, arguments: list[str], expected: str) -> None:
    result = loaded("images", *arguments)

    assert (result.status, result.out) == (0, expected)


def test_the_management_spelling_is_the_same_command(loaded) -> None:
    assert loaded("image", "ls", "-aq").out == loaded("images", "-aq").out
    assert loaded("image", "list", "-q").out == loaded("images", "-q").out


def test_a_tree_shows_the_platforms_of_an_image(lstore, tmp_path: Path) -> None:
    builder = ImageBuilder()
    inner = [builder.add_image([HELLO]), builder.add_image([HELLO], platform=ARM64)]
    builder.add_index(inner, tag="both")
    lstore("load", "-i", str(builder.write(tmp_path / "layout")))

    lines = lstore("images", "--tree").out.splitlines()

    assert [line.split("  ")[0] for line in lines] == [
        "IMAGE",
        "both:latest",
        "├─ linux/amd64",
        "└─ linux/arm64",
    ]
    assert len(lstore("images", "-q").out.split()) == 1
    assert len(lstore("images", "-aq").out.split()) == 2


@pytest.fixture
def both(lstore, tmp_path: Path):
    """The command line over a store with ``both``, an index for two platforms, pulled whole, and ``arm`` for one."""
    builder = ImageBuilder()
    arm = builder.add_image([layer([file("arm")])], platform=ARM64)
    builder.add_index([builder.add_image([HELLO]), arm], tag="both")
    assert lstore("load", "-q", "-i", str(builder.write(tmp_path / "layout"))).status == 0
    alone = ImageBuilder()
    alone.add_image([layer([file("arm")])], tag="arm", platform=ARM64)
    assert lstore("load", "-q", "-i", str(alone.write(tmp_path / "alone"))).status == 0
    return lstore


def platforms_in(archive: Path) -> list[str]:
    """The architectures of the images in an OCI archive or docker's."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None or member.size > 1 << 16:
                continue
            try:
                document = json.loads(stream.read())
            except ValueError:
                continue
            if isinstance(document, dict) and "rootfs" in document:
                found.append(document["architecture"])
    return sorted(found)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_save_takes_the_platform_that_is_asked_for(both, tmp_path: Path, form: str) -> None:
    archive = tmp_path / "saved.tar"

    result = both("save", "--format", form, "--platform", "linux/arm64", "-o", str(archive), "both")

    assert result.status == 0, result.err
    assert platforms_in(archive) == ["arm64"]
    assert both("load", "-q", "-i", str(archive)).status == 0


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize(("name", "platform"), [("both", "linux/s390x"), ("arm", "linux/amd64")])
def test_save_never_takes_another_platform_than_asked(
    both, tmp_path: Path, form: str, name: str, platform: str
) -> None:
    archive = tmp_path / "saved.tar"
    by_id = both("images", "-a", "--format", "{{.ID}} {{.Platform}}").out.splitlines()
    identifier = next(line.split()[0] for line in by_id if line.endswith("arm64"))

    named = both("save", "--format", form, "--platform", platform, "-o", str(archive), name)
    identified = both("save", "--format", form, "--platform", platform, "-o", str(archive), identifier)

    assert (named.status, f"no such image for {platform}: {name} is for" in named.err) == (1, True), named
    assert (identified.status, f"no such image for {platform}" in identified.err) == (1, True), identified
    assert not archive.exists()


@pytest.mark.parametrize(
    "words", [["ls"], ["cat"], ["explore"], ["push"], ["diff"]], ids=lambda words: words[0]
)
def test_no_command_takes_another_platform_than_asked(both, words: list[str]) -> None:
    more = {"cat": ["arm"], "diff": ["both"]}.get(words[0], [])

    result = both(*words, "--platform", "linux/s390x", "arm", *more)

    assert (result.status, result.out) == (1, "")
    assert "no such image for linux/s390x: arm" in result.err


def test_inspect_is_json_and_goes_on_after_a_failure(loaded) -> None:
    result = loaded("inspect", "nothing", "mine/hello:1")

    assert result.status == 1
    assert result.err == "lstore: no such object: nothing\n"
    assert [each["Config"]["Env"] for each in json.loads(result.out)] == [["A=1"]]


def test_inspect_by_template(loaded) -> None:
    result = loaded("inspect", "-f", "{{.Id}} {{index .RepoTags 0}}", "mine/hello:1")

    assert result.out == f"{image_id(loaded)} mine/hello:1\n"


def test_history_shows_each_step(loaded) -> None:
    assert loaded("history", "-q", "--no-trunc", "mine/hello:1").out == f"{image_id(loaded)}\n"
    result = loaded("history", "--no-human", "--format", "{{.CreatedBy}} {{.Size}}", "mine/hello:1")
    assert result.out == f"layer 0 {len(HELLO.blob)}\n"


def test_a_second_name_and_its_removal(loaded) -> None:
    assert loaded("tag", "mine/hello:1", "other").status == 0

    assert loaded("rmi", "other").out == "Untagged: other:latest\n"
    assert loaded("rmi", "other").status == 1
    last = loaded("image", "rm", "mine/hello:1", "nothing")

    assert last.status == 1
    assert last.out.startswith("Untagged: mine/hello:1\nDeleted: sha256:")
    assert last.err.startswith("lstore: no such image: nothing:latest\n")
    assert loaded("images", "-q").out == ""


def test_what_is_saved_can_be_loaded_again(loaded, tmp_path: Path) -> None:
    before = image_id(loaded)
    for form in ("docker-archive", "oci-archive"):
        archive = tmp_path / f"{form}.tar"
        assert loaded("save", "-q", "--format", form, "-o", str(archive), "mine/hello:1").status == 0
        loaded("rmi", "mine/hello:1")

        result = loaded("load", "-q", "-i", str(archive))

        assert result.out == "Loaded image: mine/hello:1\n"
        assert image_id(loaded) == before


def test_save_writes_to_a_pipe_but_not_to_a_terminal(loaded) -> None:
    refused = loaded("save", "mine/hello:1", is_terminal=True)

    assert refused.status == 125
    assert "cannot save to a terminal" in refused.err


def test_a_failed_save_leaves_the_file_of_before(loaded, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(b"precious")

    assert loaded("save", "-o", str(archive), "nothing").status == 1
    assert archive.read_bytes() == b"precious"
    assert [each.name for each in tmp_path.iterdir() if "archive" in each.name] == ["archive.tar"]


def test_an_output_that_cannot_be_made_is_named_as_it_was_given(loaded, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    below = tmp_path / "file" / "archive.tar"

    saved = loaded("save", "-q", "-o", str(below), "mine/hello:1")
    copied = loaded("copy", "-q", "store:mine/hello:1", f"oci-archive:{below}")

    for result in (saved, copied):
        assert (result.status, result.out) == (1, "")
        assert result.err == f"lstore: cannot write {below}: not a directory\n"


def test_an_output_behind_a_link_is_replaced_and_the_link_stays(loaded, tmp_path: Path) -> None:
    archive, link = tmp_path / "archive.tar", tmp_path / "link"
    link.symlink_to("archive.tar")

    assert loaded("save", "-q", "-o", str(link), "mine/hello:1").status == 0
    assert link.readlink() == Path("archive.tar")
    assert tarfile.is_tarfile(archive)


def test_an_output_that_is_open_already_is_written_in_place(loaded, tmp_path: Path) -> None:
    link = tmp_path / "stdout"
    with (tmp_path / "archive.tar").open("wb") as archive:
        link.symlink_to(f"/proc/self/fd/{archive.fileno()}")
        before = os.fstat(archive.fileno())

        assert loaded("save", "-q", "-o", str(link), "mine/hello:1").status == 0

    assert link.is_symlink()
    assert (tmp_path / "archive.tar").stat().st_ino == before.st_ino
    assert tarfile.is_tarfile(tmp_path / "archive.tar")


def test_a_copy_to_an_archive_leaves_files_beside_it_alone(loaded, tmp_path: Path) -> None:
    beside = tmp_path / "archive.tar.partial"
    beside.write_bytes(b"precious")

    assert loaded("copy", "-q", "store:mine/hello:1", f"oci-archive:{tmp_path}/archive.tar").status == 0
    assert beside.read_bytes() == b"precious"
    assert tarfile.is_tarfile(tmp_path / "archive.tar")


def test_a_full_output_does_not_blame_the_store(loaded, tmp_path: Path) -> None:
    result = loaded("save", "-q", "-o", "/dev/full", "mine/hello:1")

    assert result.status == 1
    assert result.err == "lstore: cannot write the archive: no space left on device\n"


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_tar_archive_becomes_an_image(lstore, compression: str) -> None:
    tar = make_tar([file("etc/motd", b"hi")])

    result = lstore(
        "import", "-q", "-m", "from a tar", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-", "made:1",
        stdin=compress(tar, compression),
    )  # fmt: skip

    assert (result.status, result.err) == (0, "")
    found = json.loads(lstore("inspect", "made:1").out)[0]
    assert found["Id"] == result.out.strip()
    assert found["Config"] == {"Cmd": ["sh"], "Env": ["A=1"]}
    assert found["Comment"] == "from a tar"
    assert lstore("fsck", "-q").out == "The store is clean\n"


@pytest.mark.parametrize(
    ("stdin", "arguments", "status", "message"),
    [
        (b"", ["-"], 1, "the archive is empty"),
        (b"no tar at all" * 100, ["-"], 1, ""),
        (b"\xfd7zXZ\0" * 10, ["-"], 1, "xz"),
        (b"x", ["-c", "RUN x", "-"], 125, "RUN cannot change an image"),
        (b"x", ["/does/not/exist"], 1, "cannot read /does/not/exist"),
        (b"x", ["-", "Upper"], 1, "must be lower case"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    lstore, stdin: bytes, arguments: list[str], status: int, message: str
) -> None:
    result = lstore("import", "-q", *arguments, stdin=stdin)

    assert result.status == status
    assert message in result.err
    assert "bug" not in result.err
    assert lstore("images", "-aq").out == ""


def test_an_archive_that_cannot_be_imported_is_named(lstore, tmp_path: Path) -> None:
    archive = tmp_path / "cut.tar"
    archive.write_bytes(make_tar([file("etc/motd", bytes(5000))])[:3000])

    result = lstore("import", "-q", str(archive))

    assert result.status == 1
    assert result.err.startswith(f"lstore: cannot import {archive}: ")


def test_load_reads_standard_input(loaded) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w"):
        pass

    result = loaded("load", stdin=archive.getvalue())

    assert result.status == 1
    assert result.err.startswith("lstore: ")


def test_disk_usage_adds_up_to_the_root(loaded, tmp_path: Path) -> None:
    lines = loaded("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}").out.splitlines()

    assert lines[0] == "Images|1|0"
    assert {line.partition("|")[0] for line in lines} == {
        "Images",
        "Containers",
        "Build Cache",
        "Partial downloads",
        "Orphans",
        "Bookkeeping",
    }
    verbose = loaded("system", "df", "-v").out
    assert "mine/hello   1" in verbose


def test_info_and_version_speak_json(loaded) -> None:
    assert json.loads(loaded("info", "--format", "json").out)["Images"] == 1
    assert "Storage Driver: " in loaded("system", "info").out
    assert "Version" in json.loads(loaded("version", "--format", "json").out)["Client"]


def test_damage_is_told_and_ends_in_failure(loaded, tmp_path: Path) -> None:
    next((tmp_path / "store/content/blobs/sha256").iterdir()).write_bytes(b"damage")

    result = loaded("fsck", "-q")
    shown = json.loads(loaded("fsck", "-q", "--format", "json").out)

    assert result.status == 1
    assert "clean" not in result.out
    assert shown["Clean"] is False
    assert loaded("images").status == 0


def test_a_root_that_cannot_be_written_is_one_line(lstore) -> None:
    result = lstore("--root", "/proc/lstore", "images")

    assert result.status == 1
    assert len(result.err.splitlines()) <= 2
    assert result.err.startswith("lstore: cannot make a store at /proc/lstore: ")


def test_debugging_shows_the_traceback(lstore) -> None:
    result = lstore("--debug", "rmi", "nothing")

    assert result.status == 1
    assert "NotFound: no such image" in lstore("--debug", "history", "nothing").err
