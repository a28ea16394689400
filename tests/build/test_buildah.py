"""The same Dockerfiles through Debian's buildah: the configurations agree where it says anything."""

import json
import subprocess
from collections.abc import Callable
from textwrap import dedent

import pytest

pytestmark = [pytest.mark.root, pytest.mark.package("buildah")]

Build = Callable[..., object]
FIELDS = (
    "User",
    "Env",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "Labels",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Shell",
    "Healthcheck",
    "OnBuild",
)
LABEL = "io.buildah.version"
FILES = {
    "environment": """
        FROM scratch
        ARG given=no default=yes unset
        ENV A=1 B="two words" C='single $A' D=$A-${B} E=${nope:-fallback} F=${A:+alternate} G=esc\\ aped
        ENV H=$A I=\\$A J="say \\"hi\\""
        ENV old style  value
        ENV A=2 K=$A
        LABEL given=$given default=${default} unset="<$unset>"
        """,
    "metadata": """
        FROM scratch
        LABEL a=1 "b c"=2 d="e f" multi="one\\
        two"
        LABEL a=3
        WORKDIR /one
        WORKDIR two/../three
        USER 1000:1000
        EXPOSE 80 443/tcp 53/udp
        VOLUME /data /logs
        VOLUME ["/with space"]
        STOPSIGNAL SIGTERM
        SHELL ["/bin/bash", "-c"]
        """,
    "commands": """
        FROM scratch AS base
        CMD echo $HOME
        FROM base AS exec
        CMD ["a", "b c", "\\u00e9"]
        FROM base AS reset
        ENTRYPOINT ["/run"]
        FROM reset
        CMD fallback ['to', shell]
        """,
    "healthcheck": """
        FROM scratch AS base
        HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --retries=5 CMD curl "x" || exit 1
        FROM base
        HEALTHCHECK --interval=10s CMD ["curl", "y"]
        """,
    "onbuild": """
        FROM scratch AS base
        ONBUILD ENV triggered=1
        ONBUILD LABEL later=yes
        LABEL own=1
        """,
    "scopes": """
        ARG VERSION=1
        ARG NAME=image-$VERSION
        FROM scratch AS first
        ARG NAME
        LABEL name=$NAME version=<$VERSION>
        FROM scratch
        ARG VERSION=2
        ENV VERSION=$VERSION.0
        LABEL version=$VERSION name="<$NAME>"
        """,
    "lines": """
        # comment
        from scratch
        env a=1 \\
            # inside
            b=2 \\
              c=3
        label x=y
        """,
}


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """Builds a Dockerfile with buildah in a store of its own; what comes back is the image's ``config``."""
    root = tmp_path_factory.mktemp("buildah")
    store = ["--root", str(root / "root"), "--runroot", str(root / "run"), "--storage-driver", "vfs"]

    def call(*arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *store, *arguments], capture_output=True, text=True, check=True, cwd=root
        )
        return done.stdout

    def run(text: str, **given: str) -> dict:
        (root / "Dockerfile").write_text(text)
        flags = [flag for key, value in given.items() for flag in ("--build-arg", f"{key}={value}")]
        call("bud", "--format", "docker", "--iidfile", str(root / "iid"), "-q", *flags, ".")
        image = (root / "iid").read_text().strip()
        return json.loads(call("inspect", "--type", "image", image))["Docker"]["config"]

    return run


def comparable(config: dict) -> dict:
    """What both write, in one form: absent and empty are the same, labels without buildah's own."""
    fields = {key: config[key] for key in FIELDS if config.get(key)}
    labels = {key: value for key, value in fields.get("Labels", {}).items() if key != LABEL}
    if fields.get("WorkingDir") == "/":
        del fields["WorkingDir"]  # BuildKit spells the default out
    return {**fields, "Labels": labels}


@pytest.mark.parametrize("name", FILES)
def test_the_configuration_is_buildahs(build: Build, buildah: Callable[..., dict], name: str) -> None:
    text, given = dedent(FILES[name]).lstrip(), {"given": "yes"} if "given" in FILES[name] else {}

    built = build(text, **given)

    ours = built.image.document(base=(), layers=[None] * 20, created="")["config"]
    assert comparable(ours) == comparable(buildah(text, **given))


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nRUNN x",
        "FROM scratch\nENV a",
        "FROM scratch\nENV a=1 b",
        "FROM scratch\nEXPOSE",
        "FROM scratch\nHEALTHCHECK CMDD x",
        "FROM scratch\nONBUILD ONBUILD RUN x",
        "FROM scratch\nONBUILD FROM x",
        "FROM scratch\nSHELL bash",
        "FROM a b",
        "FROM scratch\nUSER ${x",
        "FROM scratch\nCOPY a",
        "LABEL a=b",
    ],
)
def test_what_we_refuse_buildah_refuses(build: Build, buildah: Callable[..., dict], text: str) -> None:
    with pytest.raises(Exception, match="Dockerfile:"):
        build(text)
    with pytest.raises(subprocess.CalledProcessError):
        buildah(text)
