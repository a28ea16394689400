"""Builds of an ordinary user, and the owners of files: with one id, and with subordinate ones."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click
import pytest

from fixtures.builds import Builder
from fixtures.command import REPOSITORY
from fixtures.images.entries import directory, file
from fixtures.images.layout import ImageBuilder, Layer, layer
from fixtures.images.publish import publish
from fixtures.registry import Registry
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.content import read_document, read_manifest
from layerstore.oci.config import ImageConfig
from layerstore.oci.manifest import Manifest
from lstore.cli.units import parse_size
from lstore.engine.user_namespace import opened_user_namespace
from runner.namespaces import Extent, IdMap

pytestmark = pytest.mark.root  # to become that user

UID = 54322
FIRST_SUBORDINATE = 800000
WITHOUT = ("env", "--unset=COVERAGE_PROCESS_CONFIG", "--unset=COVERAGE_PROCESS_START")
AS_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all")
TEXT = """
FROM busybox AS made
COPY --chown=5:6 f /owned/
RUN --mount=type=cache,target=/c --mount=type=secret,id=s touch /c/x && test -s /run/secrets/s && echo made > /made
RUN --mount=type=bind,target=/ctx cat /ctx/f >> /made && rm /etc/group
FROM busybox
COPY --from=made /made /owned /result/
RUN echo >> /result/made && ! test -e /etc/hosts.never
"""
OWNED = (
    file("etc/shadow", b"root:*\n", mode=0o640, gid=42),
    replace(directory("srv"), uid=33, gid=33, mode=0o700),
    file("srv/page", b"page\n", mode=0o600, uid=33, gid=33),
    file("bin/tool", b"#!/bin/sh\n", mode=0o4755, uid=7, gid=8),
)
SHOW = "stat -c '%n %u:%g %a' /etc/shadow /srv /srv/page /bin/tool /bin/busybox /"
SHOWN = [
    "/etc/shadow 0:42 640",
    "/srv 33:33 700",
    "/srv/page 33:33 600",
    "/bin/tool 7:8 4755",
    "/bin/busybox 0:0 755",
    "/ 0:0 755",
]


def interpreter() -> str:
    """An interpreter of our version that the user can start, and that finds this checkout."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    code = f"import os, sys, ctypes; open({str(REPOSITORY / 'lstore' / '__init__.py')!r}); open({click.__file__!r});"
    code += "os.execv(sys.executable, [sys.executable, '-c', ''])"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [*WITHOUT, *AS_USER, candidate, "-I", "-c", code]
        if not subprocess.run(command, check=False, capture_output=True).returncode:
            return candidate
    pytest.skip("this checkout or its interpreter is closed to other users")


@contextmanager
def users_home() -> Iterator[Path]:
    """An empty directory; not below pytest's own, which each new session closes to others again."""
    with tempfile.TemporaryDirectory(prefix="lstore-rootless-") as path:
        os.chown(path, UID, UID)
        yield Path(path)


@pytest.fixture(params=["one id", "subordinate ids"])
def user_builder(request: pytest.FixtureRequest, tmp_path: Path, busybox_layout: Path) -> Iterator[Builder]:
    """A store of a user who exists in no file of this machine, or in those that are bound over them."""
    grants = with_subordinate_ids(tmp_path) if request.param == "subordinate ids" else ()
    with users_home() as home:
        shutil.copytree(busybox_layout, home / "busybox")
        builder = Builder(home, (*grants, *WITHOUT, *AS_USER), interpreter())
        own(home)
        loaded = builder.call("load", "-q", "-i", str(home / "busybox"))
        assert loaded.returncode == 0, loaded.stderr
        yield builder


@pytest.fixture
def subordinate(tmp_path: Path) -> Iterator[Builder]:
    """An empty store of a user with subordinate ids."""
    with users_home() as home:
        yield Builder(home, (*with_subordinate_ids(tmp_path), *WITHOUT, *AS_USER), interpreter())


@pytest.fixture(scope="module")
def owned_image(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Iterator[str]:
    """The name, in a registry, of busybox with a layer of files of several owners."""
    layout = LayoutDirectory.open(str(busybox_layout))
    manifest = read_manifest(layout, layout.resolve("latest"))
    assert isinstance(manifest, Manifest)
    config = ImageConfig.parse(read_document(layout, manifest.config))
    with ExitStack() as opened:
        blob = opened.enter_context(layout.fetch(manifest.layers[0])).read(manifest.layers[0].size)
    base = Layer(blob, "gzip", config.diff_ids[0])
    images = ImageBuilder()
    images.add_image([base, layer(OWNED)], tag="1", config={"Env": ["PATH=/bin"]}, platform=config.platform)
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        publish(images.write(tmp_path_factory.mktemp("layout")), registry.storage, "owned")
        yield f"{registry.address}/owned:1"


def with_subordinate_ids(directory: Path) -> tuple[str, ...]:
    """Starts what follows where the user has subordinate ids: the files that grant them are bound for it alone."""
    files = {
        "passwd": f"tester:x:{UID}:{UID}::/:/bin/sh\n",
        "subuid": f"tester:{FIRST_SUBORDINATE}:65536\n",
        "subgid": f"{UID}:{FIRST_SUBORDINATE}:65536\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    binds = " && ".join(f"mount --bind {directory}/{name} /etc/{name}" for name in files)
    return ("unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh")


def own(path: Path) -> None:
    """Give all below `path` to the user."""
    for parent, _, names in os.walk(path):
        for name in (".", *names):
            os.chown(os.path.join(parent, name), UID, UID, follow_symlinks=False)


def printed(builder: Builder, *arguments: str) -> list[str]:
    """The lines that it prints; it must succeed."""
    done = builder.call(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def unpacked(builder: Builder) -> list[str]:
    """The trees that are unpacked, and what is being unpacked."""
    places = [*(builder.root / "snapshots").glob("directory*"), builder.root / "ingest"]
    return [f"{place.name}/{path.name}" for place in places for path in place.iterdir()]


def test_everything_works_without_a_privilege(user_builder: Builder) -> None:
    context = user_builder.context(TEXT, {"f": "f\n"})
    (context / "secret").write_text("secret")
    own(context)
    flags = ("--secret", f"id=s,src={context}/secret", "-t", "mine")

    first = user_builder.build(context, *flags)
    second = user_builder.build(context, *flags, quiet=False)
    third = user_builder.build(context, *flags)

    assert first.status == 0, first.errors
    assert second.step("RUN echo") == "CACHED"
    assert first.id == third.id
    shown = user_builder.call("cat", "mine", "/result/made")
    assert (shown.stdout, shown.stderr) == ("made\nf\n\n", "")
    assert user_builder.call("builder", "prune", "-a", "-f").returncode == 0
    assert user_builder.call("fsck").returncode == 0
    # Last, as the test itself is root, and leaves root's files.
    owners = {path: facts[2:4] for path, facts in user_builder.tree("mine").items()}
    assert owners["result/f"] == (5, 6)
    assert owners["result/made"] == (0, 0)


def test_files_stay_whose_they_were_in_the_image(user_builder: Builder) -> None:
    text = """
        FROM busybox
        COPY f /f
        COPY --chown=5:6 f /owned
        RUN mkdir /d && stat -c '%u:%g' /bin/busybox /f /d / > /owners
        RUN touch /bin/made && echo more >> /owned
    """
    context = user_builder.context(text, {"f": "f\n"})
    own(context)

    result = user_builder.build(context, "-t", "owned")

    assert result.status == 0, result.errors
    assert user_builder.call("cat", "owned", "/owners").stdout.split() == ["0:0"] * 4
    owners = {path: facts[2:4] for path, facts in user_builder.tree("owned").items()}
    assert {owners[path] for path in ("bin/made", "d", "f", "bin/busybox")} == {(0, 0)}
    assert owners["owned"] == (5, 6)


def test_a_container_of_subordinate_ids_sees_whose_files_are(subordinate: Builder, owned_image: str) -> None:
    printed(subordinate, "pull", "-q", owned_image)

    assert printed(subordinate, "run", "--rm", owned_image, "sh", "-c", SHOW) == SHOWN
    assert printed(subordinate, "run", "--rm", "-u", "33:33", owned_image, "cat", "/srv/page") == ["page"]
    other = subordinate.call("run", "--rm", "-u", "34:34", owned_image, "cat", "/srv/page")
    assert (other.returncode, "denied" in other.stderr) == (1, True)


def test_what_a_container_of_subordinate_ids_changed_keeps_its_owners(
    subordinate: Builder, owned_image: str
) -> None:
    change = "echo more >> /srv/page && chown 1:2 /bin/tool && chmod 4711 /bin/tool && rm /etc/shadow"
    change += " && mkdir -m 700 /srv/new && chown 34:35 /srv/new"
    printed(subordinate, "pull", "-q", owned_image)
    printed(subordinate, "run", "--name", "changing", owned_image, "sh", "-c", change)

    changes = printed(subordinate, "diff", "changing")
    printed(subordinate, "commit", "changing", "changed")

    assert {"C /srv/page", "C /bin/tool", "D /etc/shadow", "A /srv/new"} <= set(changes)
    assert "C /bin/busybox" not in changes
    show = ("stat", "-c", "%n %u:%g %a", "/srv", "/srv/page", "/srv/new", "/bin/tool")
    seen = printed(subordinate, "run", "--rm", "changed", *show)
    assert seen == ["/srv 33:33 700", "/srv/page 33:33 600", "/srv/new 34:35 700", "/bin/tool 1:2 4711"]
    owners = {path: facts[1:4] for path, facts in subordinate.tree("changed").items()}
    assert (owners["srv/page"], owners["srv/new"]) == ((0o600, 33, 33), (0o700, 34, 35))


def test_disk_usage_is_what_du_says_to_root(subordinate: Builder, owned_image: str) -> None:
    printed(subordinate, "pull", "-q", owned_image)
    fill = "mkdir -m 700 /srv/deep && dd if=/dev/zero of=/srv/deep/file bs=1M count=5 2> /dev/null"
    printed(subordinate, "run", "--name", "filled", "-u", "33", owned_image, "sh", "-c", fill)

    shown = printed(subordinate, "system", "df", "--format", "{{.Type}} {{.Size}}")

    sizes = {kind: parse_size(size) for kind, size in (line.rsplit(" ", 1) for line in shown)}
    du = subprocess.run(["du", "-s", "-B1", subordinate.root], check=True, capture_output=True, text=True)
    whole = int(du.stdout.split()[0])
    assert abs(sum(sizes.values()) - whole) < whole / 100  # as the table rounds
    assert sizes["Containers"] > 5 << 20
    assert sizes["Bookkeeping"] < 1 << 20


def test_a_build_of_subordinate_ids_is_root_s(
    subordinate: Builder, lonely_builder: Builder, owned_image: str
) -> None:
    text = f"""
        FROM {owned_image} AS first
        RUN {SHOW} > /owners
        RUN chown 0:0 /srv/page && chown 12:34 /etc/shadow && mkdir /made && chown 33:44 /made
        USER 33:33
        RUN mkdir /srv/mine && echo mine > /srv/mine/file
        USER 0
        RUN rm -r /srv/mine && touch /srv/after
        FROM busybox
        COPY --from=first /srv /srv
        COPY --from=first /etc/shadow /owners /
        RUN stat -c '%u:%g %a' /srv /srv/page /srv/after /shadow > /seen
    """.replace("FROM busybox", f"FROM {owned_image}")
    results = []
    for builder in (subordinate, lonely_builder):
        context = builder.context(text)
        own(context)

        results.append(builder.build(context, "-t", "made", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"))

    assert [result.status for result in results] == [0, 0], results[0].errors + results[1].errors
    assert printed(subordinate, "cat", "made", "/owners") == SHOWN
    seen = ["33:33 700", "0:0 600", "0:0 644", "12:34 640"]
    assert printed(subordinate, "cat", "made", "/seen") == seen
    assert results[0].id == results[1].id


def test_nothing_of_subordinate_ids_is_left_behind(subordinate: Builder, owned_image: str) -> None:
    subordinate.variables["LSTORE_CRASH_AT"] = "snapshot: assembled, not visible"
    died = subordinate.call("pull", "-q", owned_image)
    subordinate.variables.clear()
    assert died.returncode == -signal.SIGKILL
    assert [name for name in unpacked(subordinate) if name.startswith("ingest/")]

    printed(subordinate, "system", "prune", "-f")
    printed(subordinate, "pull", "-q", owned_image)
    (whole,) = unpacked(subordinate)
    root = next((subordinate.root / "snapshots").glob("directory*/*/fs"))
    assert (root / "srv" / "page").stat().st_uid == FIRST_SUBORDINATE + 32
    printed(subordinate, "rmi", owned_image)

    assert whole.startswith("directory-")
    assert unpacked(subordinate) == []


def test_what_was_unpacked_before_there_were_subordinate_ids_is_unpacked_again(
    subordinate: Builder, owned_image: str
) -> None:
    before = Builder(subordinate.directory, (*WITHOUT, *AS_USER), interpreter())
    printed(before, "pull", "-q", owned_image)
    show = ("sh", "-c", "stat -c %u:%g /srv/page >> /log; cat /log")
    (container,) = printed(before, "create", owned_image, *show)
    assert printed(before, "start", "-a", container) == ["0:0"]
    assert printed(before, "run", "--rm", owned_image, *show) == ["0:0"]

    assert printed(subordinate, "run", "--rm", owned_image, *show) == ["33:33"]
    assert printed(subordinate, "start", "-a", container) == ["0:0", "33:33"]
    printed(subordinate, "rm", container)
    printed(subordinate, "rmi", owned_image)
    assert unpacked(subordinate) == []


def test_an_owner_past_the_subordinate_ids_is_refused(subordinate: Builder, tmp_path: Path) -> None:
    images = ImageBuilder()
    images.add_image([layer([file("f", uid=70000)])], tag="1")
    with Registry(tmp_path / "registry") as registry:
        publish(images.write(tmp_path / "layout"), registry.storage, "far")

        done = subordinate.call("pull", f"{registry.address}/far:1")

    assert done.returncode != 0
    assert "to 70000:0: this user namespace lacks that id" in done.stderr
    assert "--add-subuids" in done.stderr
    assert unpacked(subordinate) == []


def test_where_nobody_may_make_user_namespaces_layers_are_the_user_s_own(
    subordinate: Builder, owned_image: str, tmp_path: Path
) -> None:
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    everybody = (Extent(0, 0, 1_000_000),)
    with opened_user_namespace(IdMap(everybody, everybody)) as users:
        apart = ("nsenter", f"--user=/proc/{os.getpid()}/fd/{users}", "sh", "-c", forbid, "sh")
        prefix = (*apart, *with_subordinate_ids(tmp_path), *WITHOUT, *AS_USER)
        forbidden = Builder(subordinate.directory, prefix, interpreter())

        printed(forbidden, "pull", "-q", owned_image)

        assert printed(forbidden, "cat", owned_image, "/srv/page") == ["page"]
    assert unpacked(forbidden)[0].startswith("directory/")
    assert printed(subordinate, "run", "--rm", owned_image, "sh", "-c", SHOW) == SHOWN


def test_a_user_s_caches_go_to_another_store_with_their_owners(user_builder: Builder) -> None:
    is_alone = not user_builder.prefix[0].startswith("unshare")
    private = "mkdir -m 700 /c/deep && echo kept > /c/deep/file && ln -s deep/file /c/link"
    private += "" if is_alone else " && chown -R 33:44 /c/deep"
    fill = user_builder.context(f"FROM busybox\nRUN --mount=type=cache,target=/c {private}\n")
    look = "cat /c/link > /seen && stat -c '%u:%g %a' /c /c/deep >> /seen"
    context = user_builder.context(f"FROM busybox\nRUN --mount=type=cache,target=/c {look}\n")
    own(user_builder.directory)
    other = Builder(user_builder.directory / "other", user_builder.prefix, interpreter())
    other.directory.mkdir()
    os.chown(other.directory, UID, UID)
    printed(other, "load", "-q", "-i", str(user_builder.directory / "busybox"))
    assert user_builder.build(fill).status == 0

    archive = str(user_builder.directory / "caches.tar")
    printed(user_builder, "builder", "export", "-o", archive)
    taken = printed(other, "builder", "import", "-i", archive)

    owner = "0:0" if is_alone else "33:44"
    listed = subprocess.run(
        ["tar", "-tvf", archive, "--numeric-owner"], check=True, capture_output=True, text=True
    )
    assert f"{owner.replace(':', '/')} " in next(
        line for line in listed.stdout.splitlines() if "deep/file" in line
    )
    assert len(taken) == 1
    assert other.build(context, "-t", "seen").status == 0
    assert printed(other, "cat", "seen", "/seen") == ["kept", "0:0 755", f"{owner} 700"]
    for builder in (user_builder, other):
        printed(builder, "builder", "prune", "-af")
        assert list((builder.root / "build-cache" / "mounts").iterdir()) == []


def test_what_only_another_owner_may_read_counts_and_goes(subordinate: Builder, owned_image: str) -> None:
    mount = "--mount=type=cache,target=/c,id={0},uid=33,gid=33,mode=0700"
    text = f"FROM {owned_image}\nUSER 33\nRUN {mount} dd if=/dev/zero of=/c/file bs=1M count=3"
    subordinate.variables["LSTORE_BUILD_KEEP_STORAGE"] = "4MB"
    for name in ("a", "b"):
        context = subordinate.context(text.format(name))
        own(context)

        assert subordinate.build(context).status == 0

    listed = printed(subordinate, "builder", "du", "--format", "{{.Type}} {{.Description}} {{.Size}}")
    (line,) = (line for line in listed if line.startswith("exec.cachemount"))
    assert "cache mount b 3.1" in line
