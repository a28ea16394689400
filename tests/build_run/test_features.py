"""What Debian's buildah cannot say: the expectation is written out."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from fixtures.builds import Builder, Files
from layerstore.content import read_document, read_manifest
from layerstore.oci.manifest import Index, Manifest

pytestmark = pytest.mark.root

FILES: Files = {"f": "f\n", "d/one": "1", "d/two.txt": "2", "d/e/three": "3"}


def paths(builder: Builder, dockerfile: str, files: Files = FILES) -> list[str]:
    """The paths of the image of `dockerfile`, without those of busybox."""
    return sorted(builder.tree(builder.image(dockerfile, files)))


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        ("COPY --parents d/e /x/", ["x", "x/d", "x/d/e", "x/d/e/three"]),
        ("COPY --parents ./d/./e/three /x/", ["x", "x/e", "x/e/three"]),
        ("COPY --exclude=*.txt d /x/", ["x", "x/e", "x/e/three", "x/one"]),
        ("COPY --link f /x/y/f", ["x", "x/y", "x/y/f"]),
        ("COPY d/** /x/", ["x", "x/one", "x/three", "x/two.txt"]),
        ("COPY f nothing* /x/", ["x", "x/f"]),
        ("COPY <<A <<B /x/\na\nA\nb\nB", ["x", "x/A", "x/B"]),
        ("ADD --unpack=false t.tar /x/", ["x", "x/t.tar"]),
        ("ADD t.tar.xz /x/", ["x", "x/in"]),
        ("ADD t.tar.bz2 /x/", ["x", "x/in"]),
    ],
)
def test_copies(builder: Builder, copy: str, expected: list[str]) -> None:
    files = {**FILES, "t.tar": packed(""), "t.tar.xz": packed("xz"), "t.tar.bz2": packed("bz2")}

    assert paths(builder, f"FROM scratch\n{copy}", files) == expected


def packed(compression: str) -> bytes:
    """A tar with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]  # a mode made up
        tar.addfile(tarfile.TarInfo("in"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "file", "directory"),
    [("u=rwX,go=rX", 0o644, 0o755), ("0700", 0o700, 0o700), ("a+x", 0o755, 0o755), ("go-rwx", 0o600, 0o700)],
)
def test_modes_are_changed_as_chmod_does(builder: Builder, mode: str, file: int, directory: int) -> None:
    tree = builder.tree(builder.image(f"FROM scratch\nCOPY --chmod={mode} d /x/", FILES))

    assert (tree["x/one"][1], tree["x/e"][1]) == (file, directory)


def test_symlinks_in_the_image_lead_copies_inside_it(builder: Builder) -> None:
    text = "FROM busybox\nRUN ln -s /data /link && ln -s /etc /etc2 && mkdir /data\nCOPY f /link/\nCOPY f /etc2/made"

    tree = builder.tree(builder.image(text, FILES))

    assert {"data/f", "etc/made"} <= tree.keys()
    assert tree["link"][0] == "SYMLINK"


def test_steps_wait_for_no_disk(builder: Builder) -> None:
    image = builder.image("FROM busybox\nRUN grep ' / / ' /proc/self/mountinfo | head -n 1 > /root-mount")

    assert builder.read(image, "root-mount").rstrip().endswith("volatile")


@pytest.mark.parametrize("ending", ["true", "false"])
def test_nothing_of_steps_is_left_when_a_build_ends(lonely_builder: Builder, ending: str) -> None:
    text = f"FROM busybox\nRUN mkdir /many && cd /many && touch $(seq 500)\nRUN rm -r /many\nRUN {ending}"

    result = lonely_builder.build(lonely_builder.context(text))

    assert (result.status == 0) is (ending == "true")
    places = [lonely_builder.root / "build-cache" / "steps", lonely_builder.root / "snapshots" / "active"]
    assert [list(place.iterdir()) for place in places] == [[], []]


def test_run_mounts_show_what_they_say_and_leave_nothing(builder: Builder) -> None:
    text = """
        FROM busybox AS other
        RUN mkdir /dir && echo stage > /dir/file
        FROM busybox
        RUN --mount=type=bind,target=/ctx --mount=type=bind,from=other,source=dir,target=/stage,rw \\
            --mount=type=tmpfs,target=/memory,size=4m --mount=from=busybox,target=/image \\
            cat /ctx/f /stage/file > /seen && echo x > /stage/x && df /memory | grep -q 4096 && ls /image/bin/sh
    """

    image = builder.image(text, FILES)

    assert builder.read(image, "/seen") == "f\nstage\n"
    assert not {"ctx", "stage", "memory", "image"} & builder.tree(image).keys()
    assert builder.layers(image)[-1] == ["seen"]


def test_a_mount_of_the_context_hides_what_is_ignored(builder: Builder) -> None:
    text = "FROM busybox\nRUN --mount=target=/ctx ls -A /ctx > /seen"

    image = builder.image(text, {"in": "", "out": "", ".dockerignore": "out\n"})

    assert builder.read(image, "/seen").split() == [".dockerignore", "Dockerfile", "in"]


def test_a_step_that_changes_nothing_makes_no_layer(builder: Builder) -> None:
    image = builder.image("FROM busybox\nRUN --mount=type=tmpfs,target=/t/u true\nWORKDIR /etc\nRUN true")

    assert len(builder.layers(image)) == 1
    history = builder.config(image).history
    assert [entry.empty_layer for entry in history[-3:]] == [True, True, True]


def test_heredoc_scripts_run_by_their_interpreter(builder: Builder) -> None:
    text = "FROM busybox\nRUN <<EOF\n#!/bin/cat\nthe script itself\nEOF\nRUN sh <<EOF > /out\necho one\necho two\nEOF"

    assert builder.read(builder.image(text), "/out") == "one\ntwo\n"


def test_onbuild_triggers_fire(builder: Builder) -> None:
    base = builder.context("FROM busybox\nONBUILD COPY f /triggered\nONBUILD RUN echo > /ran", FILES)
    builder.build(base, "-t", "trigger")

    tree = builder.tree(builder.image("FROM trigger\nLABEL x=y", FILES))

    assert {"triggered", "ran"} <= tree.keys()


def test_options_reach_the_image_and_the_steps(builder: Builder, tmp_path: Path) -> None:
    context = builder.context(
        "FROM busybox AS one\nARG GIVEN\nRUN echo $GIVEN > /given && grep -w box /etc/hosts > /hosts\n"
        "FROM busybox\nRUN false"
    )
    iid, metadata = tmp_path / "iid", tmp_path / "metadata"

    result = builder.build(
        context, "--target", "one", "--build-arg", "GIVEN=yes", "--add-host", "box:10.1.2.3", "--label", "l=v",
        "--iidfile", str(iid), "--metadata-file", str(metadata), "-t", "options:1", "--annotation", "a=b",
    )  # fmt: skip

    assert result.status == 0, result.errors
    assert iid.read_text() == result.id
    assert json.loads(metadata.read_text())["containerimage.config.digest"] == result.id
    assert (builder.read("options:1", "/given"), builder.read("options:1", "/hosts").split()[0]) == (
        "yes\n",
        "10.1.2.3",
    )
    assert builder.config("options:1").defaults.labels == {"l": "v"}


def test_squashed_layers_are_one_with_the_same_tree(builder: Builder) -> None:
    text = """
        FROM busybox
        RUN mkdir /d && echo 1 > /d/1 && ln /d/1 /d/2 && rm -r /var/log /etc/group
        RUN rm /d/1 && ln /bin/busybox /b && rm -r /home && mkdir /home && touch /home/x
        LABEL l=v
    """
    context = builder.context(text)
    plain = builder.build(context).id

    squashed = builder.build(context, "--squash").id

    assert builder.tree(squashed) == builder.tree(plain)
    assert len(builder.layers(squashed)) == 2


def test_provenance_names_the_base_and_the_image_still_runs(builder: Builder) -> None:
    context = builder.context("FROM busybox\nRUN echo > /made")

    result = builder.build(context, "--provenance", "true", "-t", "attested")

    assert result.status == 0, result.errors
    store = builder.engine.store
    root = next(ref.descriptor for ref in store.refs.read().refs if ref.name and "attested" in str(ref.name))
    index = read_manifest(store.blobs, root)
    assert isinstance(index, Index)
    image, attestation = index.manifests
    assert attestation.annotations["vnd.docker.reference.digest"] == str(image.digest)
    manifest = read_manifest(store.blobs, attestation)
    assert isinstance(manifest, Manifest)
    statement = json.loads(read_document(store.blobs, manifest.layers[0]))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v0.2"
    assert statement["predicate"]["materials"][0]["uri"] == "pkg:docker/busybox:latest"
    assert builder.call("run", "--rm", "attested", "ls", "/made").stdout == "/made\n"
    assert builder.call("fsck").returncode == 0


def test_a_named_context_takes_the_place_of_an_image(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "named").write_text("named\n")
    context = builder.context("FROM scratch\nCOPY --from=extra named /\n")

    image = builder.build(context, "--build-context", f"extra={tmp_path}").id

    assert builder.read(image, "/named") == "named\n"


def test_contexts_come_over_standard_input(builder: Builder) -> None:
    context = builder.context("FROM scratch\nCOPY f /f", FILES)
    archive = subprocess.run(["tar", "cz", "-C", str(context), "."], capture_output=True, check=True).stdout

    tarred = builder.build("-", stdin=archive)
    alone = builder.build("-", stdin=b"FROM busybox\nRUN echo alone > /a")
    directory = builder.build(context, "-f", "-", stdin=b"FROM scratch\nCOPY d /d")

    assert sorted(builder.tree(tarred.id)) == ["f"]
    assert builder.read(alone.id, "/a") == "alone\n"
    assert "d/one" in builder.tree(directory.id)


def test_outputs_hold_the_result(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM scratch\nCOPY d /d", FILES)
    outputs = {
        "tar": f"type=tar,dest={tmp_path}/root.tar",
        "oci": f"type=oci,dest={tmp_path}/oci.tar",
        "layout": f"type=oci,tar=false,dest={tmp_path}/layout",
        "docker": f"type=docker,dest={tmp_path}/docker.tar",
        "local": str(tmp_path / "files"),
    }
    flags = [flag for output in outputs.values() for flag in ("-o", output)]

    result = builder.build(context, "-t", "out:1", *flags)

    assert result.status == 0, result.errors
    with tarfile.open(tmp_path / "root.tar") as tar:
        assert sorted(tar.getnames()) == ["d", "d/e", "d/e/three", "d/one", "d/two.txt"]
    assert (tmp_path / "files" / "d" / "e" / "three").read_text() == "3"
    assert json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    for archive in ("oci.tar", "docker.tar"):
        assert "out:1" in builder.call("load", "-i", str(tmp_path / archive)).stdout


def test_several_platforms_make_an_index(builder: Builder) -> None:
    context = builder.context("FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /f", FILES)

    result = builder.build(context, "--platform", "linux/amd64,linux/arm64", "-t", "several")

    assert result.status == 0, result.errors
    refs = [ref for ref in builder.engine.store.refs.read().refs if ref.name and "several" in str(ref.name)]
    assert [ref.platform for ref in refs] == [None]


def test_a_failing_step_shows_its_output_and_where_it_stands(builder: Builder) -> None:
    context = builder.context(
        "FROM busybox\nRUN echo before\nRUN echo the reason >&2; exit 42\nRUN echo never"
    )

    result = builder.build(context, quiet=False)

    assert result.status == 1
    assert "the reason" in result.errors
    assert "   3 | >>> RUN echo the reason >&2; exit 42" in result.errors
    assert "exit code: 42" in result.errors
    assert "--debug-shell" in result.errors
    assert "never" not in result.errors.split("------")[0]


def test_a_debug_shell_stands_before_the_failed_step(builder: Builder) -> None:
    context = builder.context("FROM busybox\nRUN echo so far > /far\nRUN touch /too-far; exit 1")

    done = builder.call("build", "--debug-shell", str(context), stdin=b"cat /far; ls /too-far || echo none")

    assert done.returncode == 1
    assert "so far\nnone" in done.stdout


def test_checks_build_nothing(builder: Builder) -> None:
    good = builder.call("build", "--check", str(builder.context("FROM busybox\nRUN exit 1")))
    bad = builder.call("build", "--check", str(builder.context("from busybox\nRUN exit 1\nCMD x")))

    assert (good.returncode, good.stdout) == (0, "Check complete, no warnings found.\n")
    assert bad.returncode == 1
    assert "JSONArgsRecommended" in bad.stdout
