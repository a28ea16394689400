"""Contexts and Dockerfiles that want more than their due: shared/threats "Building"."""

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
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
