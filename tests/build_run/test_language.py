"""Parts of the language that buildah 1.28 has not, or has otherwise: what comes of them is written out."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.builds import Builder, Files
from layerstore.build.mount import Mount, Sharing
from layerstore.disk.locks import open_lock
from lstore.engine.build.mount_sources import MountSources
from lstore.engine.build.request import Surroundings

pytestmark = pytest.mark.root

FILES: Files = {"f": "f\n", "d/one": "1", "d/two.txt": "2", "d/e/three": "3"}


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        ("ADD --chown=5:6 f /x/", {"x": (0o755, 5, 6), "x/f": (0o644, 5, 6)}),
        ("ADD --chmod=0640 f /x", {"x": (0o640, 0, 0)}),
        ("ADD --exclude=*.txt --exclude=e d /x/", {"x": (0o755, 0, 0), "x/one": (0o644, 0, 0)}),
        ("ADD --link f /x", {"x": (0o644, 0, 0)}),
        ("ADD --parents d/e /x/", {"x": 0, "x/d": 0, "x/d/e": 0, "x/d/e/three": 0}),
        ("COPY --chown=5:6 --chmod=0600 --link f /x", {"x": (0o600, 5, 6)}),
        ("COPY --chown=5:6 --parents d/e /x/", {"x": 0, "x/d": 0, "x/d/e": 0, "x/d/e/three": (0o644, 5, 6)}),
    ],
)
def test_flags_of_copy_and_add(
    builder: Builder, add: str, expected: dict[str, tuple[int, int, int] | int]
) -> None:
    tree = builder.tree(builder.image(f"FROM scratch\n{add}", FILES))

    assert tree.keys() == expected.keys()
    assert {path: tree[path][1:4] for path, facts in expected.items() if facts} == {
        path: facts for path, facts in expected.items() if facts
    }


def test_a_linked_copy_is_one_layer_on_whatever_it_lies(builder: Builder) -> None:
    text = "FROM {0}\nRUN echo {1} > /other\nCOPY --link f /x/f"
    ids = [builder.image(text.format("busybox", number), FILES) for number in (1, 2)]

    layers = [builder.config(each).diff_ids for each in ids]

    assert layers[0][-1] == layers[1][-1]
    assert layers[0][-2] != layers[1][-2]


def test_variables_take_patterns_and_alternatives(builder: Builder) -> None:
    text = r"""
        FROM scratch
        ARG V=a.b.c
        ARG EMPTY=
        ENV A=${V%.*} B=${V%%.*} C=${V#*.} D=${V##*.} E=${V/./-} F=${V//./-} G=${NO:-d} H=${EMPTY:-d} I=<${EMPTY-d}>
        ENV J=${V:+alt} K=<${NO:+alt}> L=${V/b/${V%%.*}} M='$V' N="\$V" O=$V$EMPTY-${V}
    """

    env = dict(entry.split("=", 1) for entry in builder.config(builder.image(text)).defaults.env)

    expected = {
        "A": "a.b",
        "B": "a",
        "C": "b.c",
        "D": "c",
        "E": "a-b.c",
        "F": "a-b-c",
        "G": "d",
        "H": "d",
        "I": "<>",
        "J": "alt",
        "K": "<>",
        "L": "a.a.c",
        "M": "$V",
        "N": "$V",
        "O": "a.b.c-a.b.c",
    }
    assert {key: env[key] for key in expected} == expected


def test_the_image_says_what_docker_alone_has(builder: Builder) -> None:
    text = """
        FROM scratch
        MAINTAINER Some One <one@example.org>
        HEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD ["check", "it"]
        SHELL ["/bin/bash", "-c"]
        ONBUILD RUN later
        ONBUILD COPY --from=0 a b
        STOPSIGNAL 9
        VOLUME /v
        CMD echo $HOME
    """

    document = builder.config(builder.image(text)).document

    second = 10**9
    assert document["author"] == "Some One <one@example.org>"
    config = document["config"]
    assert isinstance(config, dict)
    assert config["Healthcheck"] == {
        "Test": ["CMD", "check", "it"], "Interval": 60 * second, "Timeout": 2 * second,
        "StartPeriod": 3 * second, "StartInterval": 4 * second, "Retries": 5,
    }  # fmt: skip
    assert config["Shell"] == ["/bin/bash", "-c"]
    assert config["OnBuild"] == ["RUN later", "COPY --from=0 a b"]
    assert (config["StopSignal"], config["Volumes"]) == ("9", {"/v": {}})
    assert config["Cmd"] == ["/bin/bash", "-c", "echo $HOME"]


def test_directives_and_platforms(builder: Builder) -> None:
    text = (
        "# syntax=docker/dockerfile:1\n# escape=`\nFROM --platform=linux/arm64 scratch AS other\nCOPY f /arm\n"
        "FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH BUILDARCH TARGETSTAGE\n"
        "COPY --from=other `\n  /arm /\nRUN echo $TARGETARCH $BUILDARCH $TARGETSTAGE 'c:\\' > /seen\n"
    )
    native = builder.engine.platform.architecture

    image = builder.image(text, FILES, "--platform", f"linux/{native}")

    assert builder.read(image, "/arm") == "f\n"
    assert builder.read(image, "/seen") == f"{native} {native} default c:\\\n"


def test_a_cache_mount_is_made_as_it_says_and_can_be_read_only(builder: Builder) -> None:
    mount = "--mount=type=cache,id=made,target=/c,mode=0711,uid=5,gid=6"
    text = f"FROM busybox\nRUN {mount} stat -c '%u:%g %a' /c > /seen && echo kept > /c/f\n"
    text += f"RUN {mount},ro cat /c/f >> /seen; echo lost > /c/f || echo refused >> /seen"

    image = builder.image(text)

    assert builder.read(image, "/seen").splitlines() == ["5:6 711", "kept", "refused"]


@pytest.mark.parametrize(
    ("sharing", "other", "waits", "copy"),
    [
        ("shared", "shared", False, ""),
        ("shared", "locked", True, ""),
        ("locked", "shared", True, ""),
        ("locked", "locked", True, ""),
        ("private", "shared", False, "-1"),
        ("private", "private", False, "-1"),
    ],
)
def test_a_cache_mount_is_shared_as_it_says(
    tmp_path: Path, sharing: Sharing, other: Sharing, waits: bool, copy: str
) -> None:
    site = SimpleNamespace(cache=SimpleNamespace(mounts=str(tmp_path)))
    waited = []

    def sources(sharing: Sharing) -> MountSources:
        return MountSources(site, [Mount("cache", target="/c", sharing=sharing)], (), None, Surroundings())

    with sources("shared").held(SimpleNamespace()):  # makes it
        pass
    (home,) = tmp_path.iterdir()
    holder = open_lock(str(home / "lock"))  # as another process has it
    assert holder.try_shared() if other == "shared" else holder.try_exclusive()

    def pause(seconds: float) -> None:
        waited.append(seconds)
        holder.close()

    mine = sources(sharing)
    with mine.held(SimpleNamespace(pause=pause)):
        (mount,) = mine.mounts()

    assert bool(waited) is waits
    assert mount.source.path == f"{home}{copy}/data"


def test_a_private_cache_of_a_step_at_work_is_not_seen_by_another(builder: Builder) -> None:
    mounts = "--mount=type=cache,id=meet,target=/m --mount=type=cache,id=mine,sharing=private,target=/c"
    meet = "touch /c/{0} /m/{0} && until test -e /m/{1}; do sleep 0.02; done; ls /c > /seen-{0}"
    text = f"""
        FROM busybox AS a
        RUN {mounts} {meet.format("a", "b")}
        FROM busybox AS b
        RUN {mounts} {meet.format("b", "a")}
        FROM busybox
        COPY --from=a /seen-a /
        COPY --from=b /seen-b /
    """

    image = builder.image(text)

    assert [builder.read(image, f"/seen-{name}") for name in "ab"] == ["a\n", "b\n"]


def test_heredocs_behind_onbuild(builder: Builder) -> None:
    copy = 'ONBUILD COPY <<A <<"B" /\nhello $W\nA\nas $W\nB\n'
    run = "ONBUILD RUN <<-X\n\techo ran > /ran\nX\n"
    builder.build(builder.context(f"FROM busybox\nENV W=world\n{copy}{run}"), "-t", "with-heredocs")

    image = builder.image("FROM with-heredocs")

    found = [builder.read(image, path) for path in ("/A", "/B", "/ran")]
    assert found == ["hello world\n", "as $W\n", "ran\n"]


def test_urls_and_their_flags(builder: Builder, tmp_path: Path) -> None:
    """As with docker, nothing is unpacked that came over HTTP."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "archive.tar").write_bytes(b"no archive is unpacked that came over HTTP")
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=tmp_path / "served", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[5]
        text = f"FROM scratch\nADD --chown=5:6 --chmod=0611 http://127.0.0.1:{port}/archive.tar?x=y /d/\n"

        tree = builder.tree(builder.image(text))
    finally:
        server.kill()
        server.communicate()

    assert tree["d/archive.tar"][:4] == ("REGULAR", 0o611, 5, 6)
    assert tree.keys() == {"d", "d/archive.tar"}
