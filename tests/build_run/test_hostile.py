"""Contexts and Dockerfiles that want more than their due: shared/threats "Building"."""

import hashlib
import io
import os
import re
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

CANARY = "canary of the host\n"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file outside of everything, which nobody may read or change."""
    path = tmp_path / "canary"
    path.write_text(CANARY)
    return path


def refused(builder: Builder, dockerfile: str, *words: str, context: Path | None = None) -> None:
    """Assert that the build fails with one clear error, and leaves a clean store."""
    result = builder.build(context or builder.context(dockerfile))
    assert result.status != 0
    last = result.errors.strip().splitlines()
    message = next(line for line in reversed(last) if line.startswith("lstore: "))
    assert all(word in message for word in words), result.errors
    assert "bug" not in message
    assert builder.call("fsck").returncode == 0


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FROM scratch\nCOPY ../x /", ("Dockerfile:2", "outside the build context")),
        ("FROM scratch\nCOPY a/../../x /", ("Dockerfile:2", "outside the build context")),
        ("FROM scratch\nCOPY absent /", ("Dockerfile:2", "absent")),
        ("FROM scratch\nADD --checksum=sha256:00 http://127.0.0.1/x /", ("Dockerfile:2",)),
        ("FROM scratch\nCOPY --chown=nobody f /", ("Dockerfile:2", "nobody")),
        ("FROM scratch\nCOPY --chown=4294967295 f /", ("Dockerfile:2", "no id")),
        ("FROM busybox\nCOPY f /etc\nCOPY d /etc/passwd", ("Dockerfile:3", "no directory")),
        (
            "FROM busybox\nRUN --mount=type=bind,source=../../etc,target=/x true",
            ("outside the build context",),
        ),
        ("FROM busybox\nRUN --mount=type=tmpfs,target=/proc/x true", ("/proc",)),
        ("FROM busybox\nRUN --mount=type=secret,id=absent,required true", ("secret absent",)),
        ("FROM busybox\nRUN --security=insecure true", ("Dockerfile:2", "not allowed")),
        ("FROM busybox\nUSER nouser\nRUN true", ("nouser",)),
        ("FROM scratch\nRUN true", ("/bin/sh",)),
    ],
)
def test_what_is_not_to_be_had_is_refused(builder: Builder, dockerfile: str, words: tuple[str, ...]) -> None:
    refused(builder, dockerfile, *words, context=builder.context(dockerfile, {"f": "f", "d/x": "x"}))


def test_symlinks_in_a_context_stay_inside_it(builder: Builder, canary: Path) -> None:
    context = builder.context("FROM scratch\nCOPY link/canary /stolen")
    (context / "link").symlink_to(canary.parent)

    refused(builder, "", "canary", context=context)


def test_a_symlink_is_copied_as_one(builder: Builder, canary: Path) -> None:
    context = builder.context("FROM scratch\nCOPY d /d", {"d/x": "x"})
    (context / "d" / "link").symlink_to(canary)

    image = builder.build(context).id

    assert builder.tree(image)["d/link"][0] == "SYMLINK"


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_our_own_files_in_a_context_lead_nowhere(builder: Builder, canary: Path, name: str) -> None:
    context = builder.context("FROM scratch\nCOPY x /x", {"x": "x"})
    (context / name).unlink(missing_ok=True)
    (context / name).symlink_to(canary)

    result = builder.build(context)

    assert result.status != 0
    assert CANARY.strip() not in result.errors


@pytest.mark.parametrize("option", ["source=/link/canary", "source=link", "source=../../../canary"])
def test_mounts_from_a_stage_stay_inside_it(builder: Builder, canary: Path, option: str) -> None:
    """CVE-2024-1753, CVE-2024-23651: a source that is a symlink or climbs."""
    text = (
        f"FROM busybox AS evil\nRUN ln -s {canary.parent} /link\n"
        f"FROM busybox\nRUN --mount=type=bind,from=evil,{option},target=/mnt,rw "
        "cat /mnt/canary /mnt; echo lost > /mnt/canary"
    )

    result = builder.build(builder.context(text), quiet=False)

    assert result.status != 0
    assert CANARY.strip() not in result.errors
    assert canary.read_text() == CANARY


def test_a_mount_target_behind_a_symlink_stays_inside_the_root(builder: Builder, canary: Path) -> None:
    """CVE-2024-23652: what was made to mount at is removed again, and nothing else is."""
    text = (
        f"FROM busybox\nRUN ln -s {canary.parent} /mnt\n"
        "RUN --mount=type=tmpfs,target=/mnt/sub/place touch /mnt/sub/place/x\n"
    )

    image = builder.build(builder.context(text)).id

    assert canary.read_text() == CANARY
    assert sorted(os.listdir(canary.parent)) == ["canary"]
    assert len(builder.layers(image)) == 2


@pytest.mark.parametrize(
    "mount",
    [
        "type=cache,target=/mnt/sub",
        "type=cache,id=../../../../../canary,target=/mnt/../mnt/sub",
        "type=tmpfs,target=../../../mnt/sub",
        "type=bind,from=busybox,source=bin,target=/mnt/sub,rw",
        "type=bind,from=busybox,source=bin/busybox,target=/mnt/canary,rw",
        "type=bind,source=Dockerfile,target=/mnt/canary,rw",
        "type=secret,id=s,target=/mnt/canary",
        "type=secret,id=s,target=/up/canary",
        "type=ssh,target=/mnt/agent",
    ],
)
def test_no_mount_s_target_leads_out_of_the_root(builder: Builder, canary: Path, mount: str) -> None:
    """CVE-2024-23652 and its like: /mnt is a symlink to where the canary is, /up one that climbs."""
    climbing = "../" * 30 + str(canary.parent)[1:]
    text = (
        f"FROM busybox\nRUN rmdir /mnt 2> /dev/null; ln -s {canary.parent} /mnt && ln -s {climbing} /up\n"
        f"RUN --mount={mount} (rm -rf {canary.parent}/*; echo lost > {canary}; echo lost > /mnt/canary) 2> /s; true\n"
    )
    flags = ("--secret", f"id=s,src={canary}", "--ssh", f"default={canary.parent}/agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(f"{canary.parent}/agent")

        result = builder.build(builder.context(text), *flags, quiet=False)

    assert result.status == 0, result.errors
    assert canary.read_text() == CANARY
    assert sorted(os.listdir(canary.parent)) == ["agent", "canary"]
    mounts = builder.root / "build-cache" / "mounts"
    assert all(len(path.name) == 64 for path in mounts.iterdir())


@pytest.mark.parametrize(
    ("of", "step", "source"),
    [
        *(("context", "COPY", source) for source in ("link/canary", "up/canary", "d/../link/canary")),
        *(("context", "RUN", source) for source in ("link/canary", "link")),
        ("named", "COPY", "link/canary"),
        ("named", "RUN", "up/canary"),
        *(("stage", "COPY", source) for source in ("link/canary", "link")),
        ("stage", "RUN", "up/canary"),
    ],
)
def test_no_source_leads_out_of_where_it_is_from(
    builder: Builder, canary: Path, of: str, step: str, source: str
) -> None:
    links = {"link": str(canary.parent), "up": "../" * 30 + str(canary.parent)[1:]}
    origin = {"context": "", "named": "from=named", "stage": "from=evil"}[of]
    made = " && ".join(f"ln -s {target} /{name}" for name, target in links.items())
    mount = f"--mount=type=bind,target=/mnt,rw,source={source}" + (f",{origin}" if origin else "")
    steps = {
        "COPY": f"COPY {f'--{origin}' if origin else ''} {source} /got",
        "RUN": f"RUN {mount} cat /mnt/*; echo lost > /mnt/canary",
    }
    stages = f"FROM busybox AS evil\nRUN {made}\n" if of == "stage" else ""
    context = builder.context(f"{stages}FROM busybox\n{steps[step]}", {"d/x": ""})
    for name, target in links.items():
        (context / name).symlink_to(target)

    result = builder.build(context, "--build-context", f"named={context}", quiet=False)

    assert CANARY.strip() not in result.errors
    assert result.status != 0, result.errors
    where = "the stage or image" if of == "stage" else "the build context"
    assert re.search(rf"lstore: Dockerfile:\d:1: cannot copy '{source}': not in {where}", result.errors)
    assert canary.read_text() == CANARY


def members(*given: tuple[str, bytes, str]) -> bytes:
    """A tar of members by name, type, and link or content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, detail in given:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, detail
            data = detail.encode() if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        lambda place: members(("../../../../../.." + place + "/canary", tarfile.REGTYPE, "lost")),
        lambda place: members((place + "/canary", tarfile.REGTYPE, "lost")),
        lambda place: members(("l", tarfile.SYMTYPE, place), ("l/canary", tarfile.REGTYPE, "lost")),
        lambda place: members(("l", tarfile.LNKTYPE, place + "/canary"), ("l", tarfile.REGTYPE, "lost")),
        lambda place: members(("l", tarfile.LNKTYPE, "../../../../../.." + place + "/canary")),
        lambda place: members((".", tarfile.SYMTYPE, place), ("canary", tarfile.REGTYPE, "lost")),
    ],
    ids=["climbing", "absolute", "through a link", "hardlink", "climbing hardlink", "the root a link"],
)
def test_an_archive_that_add_unpacks_stays_inside(
    builder: Builder, canary: Path, archive: Callable[[str], bytes], tmp_path: Path
) -> None:
    context = builder.context("FROM busybox\nADD a.tar /d/\nRUN true", {"a.tar": archive(str(canary.parent))})

    result = builder.build(context, "-o", f"type=local,dest={tmp_path}/files")

    assert canary.read_text() == CANARY
    assert set(os.listdir(canary.parent)) <= {"canary", "files"}
    if result.status == 0:
        assert all(
            hashlib.sha256(CANARY.encode()).hexdigest() != facts[4]
            for facts in builder.tree(result.id).values()
        )
    else:
        assert "bug" not in result.errors
    assert builder.call("fsck").returncode == 0


def test_links_in_a_result_lead_no_file_out_of_its_directory(
    builder: Builder, canary: Path, tmp_path: Path
) -> None:
    text = f"FROM busybox\nRUN ln -s {canary.parent} /l && ln -s {canary} /f\nCOPY x /l/canary\nCOPY x /f\nCOPY x /y"

    result = builder.build(builder.context(text, {"x": "lost"}), "-o", f"type=local,dest={tmp_path}/files")

    assert result.status == 0, result.errors
    assert canary.read_text() == CANARY
    assert (tmp_path / "files" / "y").read_text() == "lost"
    assert (tmp_path / "files" / str(canary)[1:]).read_text() == "lost"


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_an_ignore_file_is_no_link(builder: Builder, canary: Path, name: str) -> None:
    context = builder.context("FROM scratch\nCOPY . /", {"x": "x"})
    (context / name).symlink_to(canary)

    refused(builder, "", name, context=context)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("ENV A=aaaaaaaa\n" + "ENV A=$A$A\n" * 40, ("Dockerfile:", "expand variables to more than")),
        ("ARG A=" + "a" * 64 + "\nENV B=${A//a/$A}\nENV C=${B//a/$B}\n" * 3, ("Dockerfile:", "more than")),
        ("ENV A=" + "${B:-" * 99 + "}" * 99, ("Dockerfile:2:", "inside each other")),
        ("COPY " + " ".join(f"<<E{n}" for n in range(2000)) + " /x/", ("Dockerfile:2:", "heredocs")),
        ("RUN <<E\nnever ended", ("Dockerfile:2:", "E")),
        ("COPY [a-[b- /x", ("Dockerfile:2:",)),
        ("CMD a\0b", ("NUL",)),
        ("ENV a=1\n" * 5000, ("Dockerfile", "4096")),
    ],
    ids=[
        "doubling",
        "replacing",
        "nesting",
        "heredocs",
        "an open heredoc",
        "a bad pattern",
        "NUL",
        "instructions",
    ],
)
def test_a_dockerfile_that_wants_too_much_is_refused(
    builder: Builder, lines: str, words: tuple[str, ...]
) -> None:
    refused(builder, f"FROM scratch\n{lines}", *words)


@pytest.mark.parametrize("pattern", ["a*" * 40 + "b", "**/" * 40 + "b", "?*" * 40 + "b", "[a-z]*" * 30 + "b"])
def test_no_pattern_takes_forever(builder: Builder, pattern: str) -> None:
    context = builder.context(
        f"FROM scratch\nCOPY d {pattern} /x/", {"d/" + "a" * 200: "", ".dockerignore": pattern}
    )

    result = builder.build(context)

    assert result.status == 0, result.errors


@pytest.mark.parametrize("where", ["file://{0}", "ftp://127.0.0.1{0}", "http://127.0.0.1:{1}{0}"])
def test_add_fetches_nothing_of_the_host_s(builder: Builder, canary: Path, where: str) -> None:
    class Redirecting(_Handler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"file://{canary}")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        result = builder.build(
            builder.context(f"FROM scratch\nADD {where.format(canary, server.server_address[1])} /x")
        )

        server.shutdown()
        thread.join()

    assert result.status != 0
    assert "bug" not in result.errors
    assert CANARY.strip() not in result.errors


def test_a_cache_from_elsewhere_is_taken_as_it_was_put_or_not_at_all(
    builder: Builder, lonely_builder: Builder, tmp_path: Path
) -> None:
    context = builder.context("FROM busybox\nRUN echo right > /seen")
    assert builder.build(context, "--cache-to", f"type=local,dest={tmp_path}/cache").status == 0
    blobs = [
        path
        for path in (tmp_path / "cache" / "blobs" / "sha256").iterdir()
        if b"right\n" in path.read_bytes()
    ]
    for path in blobs:
        path.write_bytes(path.read_bytes().replace(b"right\n", b"wrong\n"))

    result = lonely_builder.build(context, "--cache-from", f"type=local,src={tmp_path}/cache")

    assert blobs
    assert "bug" not in result.errors
    assert result.status != 0 or lonely_builder.read(result.id, "/seen") == "right\n"
    assert lonely_builder.call("fsck").returncode == 0


def test_a_working_directory_leads_to_no_descriptor_of_ours(builder: Builder) -> None:
    """CVE-2024-21626."""
    result = builder.build(builder.context("FROM busybox\nWORKDIR /proc/self/fd/8\nRUN ls ..\n"), quiet=False)

    assert result.status != 0


def test_a_tar_context_is_unpacked_inside_its_directory(builder: Builder, canary: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, target in (("up", str(canary.parent)), ("Dockerfile", "up/canary")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        stolen = tarfile.TarInfo("up/canary")
        stolen.size = 4
        tar.addfile(stolen, io.BytesIO(b"lost"))

    result = builder.build("-", stdin=stream.getvalue())

    assert result.status != 0
    assert CANARY.strip() not in result.errors
    assert canary.read_text() == CANARY


def test_an_archive_of_removals_is_refused(builder: Builder) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(".wh.bin"))
    context = builder.context("FROM busybox\nADD a.tar /", {"a.tar": stream.getvalue()})

    refused(builder, "", "removal", context=context)


def test_devices_and_sockets_of_a_context(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM scratch\nCOPY d /d", {"d/x": "x"})
    os.mknod(context / "d" / "null", 0o600 | 0o020000, os.makedev(1, 3))

    refused(builder, "", "device", context=context)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"downloaded")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """A file that is served on this host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/file.txt"
        server.shutdown()
        thread.join()


def test_a_download_is_what_its_checksum_says_or_refused(builder: Builder, url: str) -> None:
    right = hashlib.sha256(b"downloaded").hexdigest()

    good = builder.build(builder.context(f"FROM scratch\nADD --checksum=sha256:{right} {url} /d/"))
    plain = builder.build(builder.context(f"FROM scratch\nADD {url} /name"))

    assert builder.read(good.id, "/d/file.txt") == "downloaded"
    assert builder.tree(plain.id)["name"][1] == 0o600
    refused(builder, f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url} /d/", "not sha256:000")
