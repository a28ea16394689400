"""The same Dockerfiles with Debian's buildah: equal configurations, equal trees, path by path.

Left out of the comparison: times (ours are one, docs/adr/0006), the order of layers, and what only one of both
writes into a configuration. Where buildah 1.28 lacks a feature, `test_features` has the expectation.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import lstore
from fixtures.builds import Builder, Facts, image_tree
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.copy import copy
from layerstore.oci.config import ImageConfig
from layerstore.oci.document import child
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref
from lstore.engine.engine import Engine
from lstore.engine.open_image import open_image

pytestmark = [pytest.mark.root, pytest.mark.package("buildah")]

FILES = {
    "file": "content\n",
    "other": "other\n",
    "sub/one": "1\n",
    "sub/two": "22\n",
    "sub/deep/three": "333\n",
    "a1.txt": "a1",
    "a2.txt": "a2",
    "b1.txt": "b1",
    "private": "private\n",
    "with space": "space\n",
    "ünï": "unicode\n",
    "script": "#!/bin/sh\necho hi\n",
}
FIELDS = ("User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal")
BUSYBOX = "FROM busybox\n"
CASES = {
    "copy-file": "FROM scratch\nCOPY file /file",
    "copy-rename": "FROM scratch\nCOPY file /renamed",
    "copy-into-new-directory": "FROM scratch\nCOPY file /d/",
    "copy-deep": "FROM scratch\nCOPY file /a/b/c/file",
    "copy-two": "FROM scratch\nCOPY file other /d/",
    "copy-glob": "FROM scratch\nCOPY a*.txt /d/",
    "copy-question-mark": "FROM scratch\nCOPY ?1.txt /d/",
    "copy-class": "FROM scratch\nCOPY [ab]1.txt /d/",
    "copy-directory": "FROM scratch\nCOPY sub /sub",
    "copy-directory-content": "FROM scratch\nCOPY sub/ /",
    "copy-directory-into-existing": f"{BUSYBOX}COPY sub /etc",
    "copy-file-into-existing": f"{BUSYBOX}COPY file /etc",
    "copy-over-file": f"{BUSYBOX}COPY file /etc/passwd",
    "copy-json": 'FROM scratch\nCOPY ["file", "other", "/with space/"]',
    "copy-everything": "FROM scratch\nCOPY . /all/",
    "copy-chown-numbers": "FROM scratch\nCOPY --chown=12:34 file /d/",
    "copy-chown-one-number": "FROM scratch\nCOPY --chown=12 file /file",
    "copy-chown-names": f"{BUSYBOX}COPY --chown=nobody:nogroup file /tmp/",
    "copy-chmod": "FROM scratch\nCOPY --chmod=0711 script /script",
    "copy-relative": f"{BUSYBOX}WORKDIR /w\nCOPY file here",
    "copy-relative-directory": f"{BUSYBOX}WORKDIR /w/x\nCOPY file ./",
    "copy-twice": "FROM scratch\nCOPY file /f\nCOPY other /f",
    "copy-variable": "FROM scratch\nARG WHERE=place\nCOPY file /$WHERE/",
    "copy-from-stage": "FROM scratch AS one\nCOPY sub /s\nFROM scratch\nCOPY --from=one /s/deep /d",
    "copy-from-number": "FROM scratch\nCOPY file /f\nFROM scratch\nCOPY --from=0 /f /g",
    "copy-from-chown": "FROM scratch AS a\nCOPY file /f\nFROM scratch\nCOPY --chown=7:8 --from=a /f /g",
    "copy-from-keeps-owners": "FROM scratch AS a\nCOPY --chown=5:6 file /f\nFROM scratch\nCOPY --from=a /f /g",
    "add-file": "FROM scratch\nADD file /d/",
    "add-archive": "FROM scratch\nADD packed.tar.gz /unpacked/",
    "add-archive-plain": "FROM scratch\nADD packed.tar /unpacked",
    "run-writes": f"{BUSYBOX}RUN echo hello > /greeting",
    "run-exec-form": f'{BUSYBOX}RUN ["/bin/sh", "-c", "echo exec > /e"]',
    "run-removes": f"{BUSYBOX}RUN rm /etc/group && rm -r /var/log",
    "run-replaces-directory": f"{BUSYBOX}RUN rm -r /home && ln -s /tmp /home",
    "run-recreates-directory": f"{BUSYBOX}COPY sub /s\nRUN rm -r /s && mkdir /s && echo new > /s/new",
    "run-renames-directory": f"{BUSYBOX}COPY sub /s\nRUN mv /s /t",
    "run-modes": f"{BUSYBOX}RUN mkdir -m 1777 /sticky && echo > /setuid && chmod 4755 /setuid && chmod 700 /tmp",
    "run-owners": f"{BUSYBOX}RUN echo > /owned && chown 1:2 /owned && chown 3:4 /var",
    "run-hardlink": f"{BUSYBOX}RUN echo a > /a && ln /a /b && ln -s a /c",
    "run-fifo": f"{BUSYBOX}RUN mkfifo /pipe",
    "run-as-user": f"{BUSYBOX}USER nobody\nRUN echo x > /tmp/mine",
    "run-environment": f'{BUSYBOX}ENV A=1\nARG B=2\nRUN echo "$A $B $HOME $PWD" > /out',
    "run-workdir": f"{BUSYBOX}WORKDIR /work\nRUN pwd > out",
    "run-shell": f'{BUSYBOX}SHELL ["/bin/sh", "-ec"]\nRUN echo $0 > /out',
    "run-nothing": f"{BUSYBOX}RUN true",
    "workdir-chain": f"{BUSYBOX}WORKDIR /a\nWORKDIR b\nWORKDIR ../c",
    "volume-and-run": f"{BUSYBOX}RUN mkdir /v\nVOLUME /v",
    "everything-else": f"{BUSYBOX}ENV X=y Z=w\nLABEL a=b\nEXPOSE 80 53/udp\nUSER 1:2\nCMD a\nENTRYPOINT [\"b\"]\n"
    "STOPSIGNAL SIGINT",
    "stage-on-stage": f"{BUSYBOX[:-1]} AS base\nENV A=1\nRUN echo base > /f\nFROM base\nRUN cat /f > /g",
    "unused-stage": "FROM scratch AS never\nCOPY absent /\nFROM scratch\nCOPY file /f",
    "ignored": "FROM scratch\nCOPY ignored /",
    "copy-symlink": "FROM scratch\nCOPY sub/link /l",
    "copy-mode": "FROM scratch\nCOPY private /p",
    "copy-odd-names": 'FROM scratch\nCOPY ["with space", "ünï", "/names/"]',
    "add-chown": "FROM scratch\nADD --chown=5:6 file /d/",
    "add-several": "FROM scratch\nADD a*.txt packed.tar /d/",
    "add-directory": "FROM scratch\nADD sub /d",
    "add-archive-over-files": f"{BUSYBOX}RUN mkdir /u && echo old > /u/packed\nADD packed.tar.gz /u",
    "run-user-and-group": f"{BUSYBOX}USER nobody:65534\nRUN id -u > /tmp/id && id -g >> /tmp/id",
    "run-whiteouts-of-copies": f"{BUSYBOX}COPY sub /s\nRUN rm /s/one && mv /s/two /s/deep/two && rmdir /home",
    "run-times": f"{BUSYBOX}RUN touch -d '2001-02-03 04:05:06' /old && stat -c %Y /old > /seen",
    "shell-commands": f'{BUSYBOX}ENTRYPOINT exec "$0"\nCMD run it',
    "environment-forms": f'{BUSYBOX}ENV A=1 B="x y" C=\'$A\' D=${{A:-x}}\nENV old style\nRUN env|grep "^[A-D]=">/e',
    "labels-and-volumes": f'{BUSYBOX}LABEL a=1 "b c"=2 d="e\\\nf"\nVOLUME ["/v", "/w x"]\nEXPOSE 80 53/udp',
}  # fmt: skip
BUILDAHS = frozenset({"etc/hosts", "etc/resolv.conf", "etc/hostname", "run", "run/secrets"})
IGNORE = {"ignored/.keep": "", "ignored/secret.key": "k", ".dockerignore": "**/*.key\n"}


class Buildah:
    """buildah in a store of its own, with the same busybox."""

    def __init__(self, directory: Path, layout: Path) -> None:
        self._directory = directory
        self._store = [
            "--root",
            f"{directory}/root",
            "--runroot",
            f"{directory}/run",
            "--storage-driver",
            "vfs",
        ]
        self._number = 0
        image = self.call("pull", "-q", f"oci:{layout}:latest").strip()
        self.call("tag", image, "docker.io/library/busybox:latest")

    def call(self, *arguments: str) -> str:
        command = ["buildah", *self._store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._directory)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, context: Path) -> Path:
        """An OCI layout that calls the image of `context` ``result``."""
        self._number += 1
        layout = self._directory / f"layout-{self._number}"
        flags = ("--format", "oci", "--isolation", "chroot", "--pull-never", "--network", "host")
        self.call("bud", "-q", "--layers=false", *flags, "-t", "result", str(context))
        self.call("push", "-q", "result", f"oci:{layout}:result")
        return layout


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Buildah:
    return Buildah(tmp_path_factory.mktemp("buildah"), busybox_layout)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A store for what buildah made."""
    return lstore.open(str(tmp_path_factory.mktemp("theirs") / "store"))


@pytest.fixture(scope="module")
def load(theirs: Engine) -> Callable[[Path, str], str]:
    """Loads a layout into `theirs` under a name."""

    def run(path: Path, name: str) -> str:
        layout = LayoutDirectory.open(str(path))
        root = layout.resolve("result")
        with theirs.store.transaction() as transaction:
            copy(layout, transaction, root)
            transaction.set_ref(Ref(Reference.parse(name), root))
            transaction.commit()
        return name

    return run


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What ADD unpacks."""
    directory = tmp_path_factory.mktemp("archives")
    (directory / "in").mkdir()
    (directory / "in" / "packed").write_text("packed\n")
    (directory / "in" / "link").symlink_to("packed")
    names = {"packed.tar.gz": "czf", "packed.tar": "cf"}
    for name, flags in names.items():
        command = [
            "tar",
            flags,
            str(directory / name),
            "--owner=0",
            "--group=0",
            "-C",
            str(directory / "in"),
            ".",
        ]
        subprocess.run(command, check=True)
    return {name: (directory / name).read_bytes() for name in names}


@pytest.mark.parametrize("name", CASES)
def test_an_image_is_what_buildah_makes_of_the_same(
    builder: Builder,
    buildah: Buildah,
    theirs: Engine,
    load: Callable[[Path, str], str],
    archives: dict[str, bytes],
    name: str,
) -> None:
    context = builder.context(CASES[name], {**FILES, **IGNORE, **archives})
    (context / "sub" / "link").symlink_to("one")
    (context / "sub" / "dangling").symlink_to("/nowhere")
    (context / "private").chmod(0o640)
    reference = load(buildah.build(context), f"case/{name}")

    result = builder.build(context)

    assert result.status == 0, result.errors
    assert visible(builder.tree(result.id)) == visible(image_tree(theirs, reference))
    with open_image(theirs, reference) as opened:
        assert comparable(builder.config(result.id)) == comparable(opened.config)


def visible(tree: dict[str, Facts]) -> dict[str, Facts]:
    """The tree without what buildah leaves of its own mounts."""
    return {path: facts for path, facts in tree.items() if path not in BUILDAHS}


def comparable(config: ImageConfig) -> dict[str, object]:
    """What both write, in one form: absent and empty are the same, labels without buildah's own."""
    found = {key: value for key, value in child(config.document, "config").items() if key in FIELDS and value}
    labels = found.pop("Labels", {})
    assert isinstance(labels, dict)
    if found.get("WorkingDir") == "/":
        del found["WorkingDir"]  # BuildKit spells the default out
    return {**found, "Labels": {key: value for key, value in labels.items() if key != "io.buildah.version"}}
