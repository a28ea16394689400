"""Archives and layouts of lstore against skopeo, podman and umoci, which we did not write: both ways."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fixtures.images.entries import file, make_tar, symlink
from fixtures.images.layout import AMD64, ARM64, ImageBuilder, layer_of_tar
from fixtures.memory import MemoryTars
from layerstore.archive.docker_archive_writer import DockerArchiveWriter
from layerstore.archive.oci_archive_writer import OciArchiveWriter
from layerstore.archive.oci_layout import LayoutDirectory, blob_name
from layerstore.archive.tar_archive import ImageArchive
from layerstore.content import read_document, read_manifest
from layerstore.copy import copy
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import Reference

Opened = Callable[[bytes | Path], ImageArchive]

pytestmark = pytest.mark.package("skopeo")

TARS = (
    make_tar([file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), symlink("bin", "usr/bin")]),
    make_tar([file("usr/bin/tool", b"#!" * 9000, mode=0o755)]),
)


def go_config(command: str, *tars: bytes) -> bytes:
    """A configuration as Go spells it, which skopeo leaves alone when it converts docker's types to OCI's."""
    return json.dumps(
        {
            "created": "1970-01-01T00:00:00Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": [command]},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "test"} for _ in tars],
        },
        separators=(",", ":"),
    ).encode()


CONFIG = go_config("/usr/bin/tool", *TARS)
OTHER_CONFIG = go_config("/bin/sh", TARS[0])
NAME = "docker.io/library/tool:1.0"
OTHER_NAME = "localhost:5000/other:2.0"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo_copy(source: str, target: str, *options: str) -> None:
    run("skopeo", "--insecure-policy", "copy", *options, source, target)


def manifest_in(layout: Path, name: str) -> Manifest:
    """The manifest that skopeo wrote into an OCI layout as `name`."""
    source = LayoutDirectory.open(str(layout))
    manifest = read_manifest(source, source.resolve(name))
    assert isinstance(manifest, Manifest)
    return manifest


def config_in(archive: ImageArchive, root: Descriptor) -> bytes:
    manifest = read_manifest(archive, root)
    assert isinstance(manifest, Manifest)
    return read_document(archive, manifest.config)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI layout with the image as ``v1`` and, for two platforms, as ``both``."""
    builder = ImageBuilder()
    layers = [layer_of_tar(tar, "gzip") for tar in TARS]
    images = [
        builder.add_image(
            layers, tag=None if platform == ARM64 else "v1", platform=platform, config={"Cmd": ["x"]}
        )
        for platform in (AMD64, ARM64)
    ]
    builder.add_index(images, tag="both")
    return builder.write(tmp_path / "layout")


@pytest.fixture
def docker_archive(tmp_path: Path) -> Path:
    """A docker archive of ours with two images that share a layer."""
    path = tmp_path / "ours.tar"
    with path.open("wb") as output:
        writer = DockerArchiveWriter(output, MemoryTars({Digest.of(tar): tar for tar in TARS}))
        writer.add(ImageConfig.parse(CONFIG), [Reference.parse(NAME)])
        writer.add(ImageConfig.parse(OTHER_CONFIG), [Reference.parse(OTHER_NAME)])
        writer.finish()
    return path


@pytest.fixture
def oci_archive(layout: Path, tmp_path: Path) -> Path:
    """An OCI archive of ours with everything from `layout`, under whole names."""
    path = tmp_path / "ours.tar"
    source = LayoutDirectory.open(str(layout))
    with path.open("wb") as output:
        writer = OciArchiveWriter(output)
        for old, new in (("v1", NAME), ("both", OTHER_NAME)):
            copy(source, writer, source.resolve(old))
            writer.tag(source.resolve(old), new)
        writer.finish()
    return path


@pytest.mark.parametrize(("name", "config"), [(NAME, CONFIG), (OTHER_NAME, OTHER_CONFIG)])
def test_skopeo_reads_our_docker_archive_to_the_same_image_id(
    docker_archive: Path, tmp_path: Path, name: str, config: bytes
) -> None:
    skopeo_copy(f"docker-archive:{docker_archive}:{name}", f"dir:{tmp_path / 'plain'}")
    skopeo_copy(f"docker-archive:{docker_archive}:{name}", f"oci:{tmp_path / 'out'}:x")

    assert (tmp_path / "plain" / Digest.of(config).encoded).read_bytes() == config
    assert manifest_in(tmp_path / "out", "x").config.digest == Digest.of(config)


def test_skopeo_reads_our_docker_archive_as_the_oci_archive_that_it_is_too(
    docker_archive: Path, tmp_path: Path
) -> None:
    skopeo_copy(f"oci-archive:{docker_archive}:{NAME}", f"oci:{tmp_path / 'out'}:x")

    assert manifest_in(tmp_path / "out", "x").config.digest == Digest.of(CONFIG)


def test_skopeo_reads_our_oci_archive_to_the_same_manifests(
    oci_archive: Path, layout: Path, tmp_path: Path
) -> None:
    ours = LayoutDirectory.open(str(layout))

    skopeo_copy(f"oci-archive:{oci_archive}:{NAME}", f"oci:{tmp_path / 'out'}:x")
    skopeo_copy(f"oci-archive:{oci_archive}:{OTHER_NAME}", f"oci:{tmp_path / 'out'}:all", "--all")

    theirs = LayoutDirectory.open(str(tmp_path / "out"))
    assert theirs.resolve("x").digest == ours.resolve("v1").digest
    assert theirs.resolve("all").digest == ours.resolve("both").digest


def test_skopeo_reads_our_layout_directory_to_the_same_manifest(layout: Path, tmp_path: Path) -> None:
    source = LayoutDirectory.open(str(layout))
    target = LayoutDirectory.create(str(tmp_path / "ours"))
    copy(source, target, source.resolve("v1"))
    target.tag(source.resolve("v1"), "v2")

    skopeo_copy(f"oci:{tmp_path / 'ours'}:v2", f"oci:{tmp_path / 'out'}:x")

    assert manifest_in(tmp_path / "out", "x").descriptor.digest == source.resolve("v1").digest


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_skopeo_s_docker_archive_is_read_to_the_same_image_id(
    layout: Path, tmp_path: Path, opened: Opened, pack: Callable[[bytes], bytes]
) -> None:
    config = manifest_in(layout, "v1").config
    skopeo_copy(f"oci:{layout}:v1", f"docker-archive:{tmp_path / 'theirs.tar'}:{NAME}")

    archive = opened(pack((tmp_path / "theirs.tar").read_bytes()))

    (image,) = archive.images()
    target = LayoutDirectory.create(str(tmp_path / "out"))
    copy(archive, target, image.root)
    manifest = read_manifest(target, image.root)
    assert isinstance(manifest, Manifest)
    assert image.names == (NAME,)
    assert [each.digest for each in manifest.layers] == [Digest.of(tar) for tar in TARS]
    assert json.loads(config_in(archive, image.root))["config"] == {"Cmd": ["x"]}
    assert manifest.config.digest == Digest.parse(skopeo_image_id(tmp_path / "theirs.tar")) == config.digest


def skopeo_image_id(archive: Path) -> str:
    raw: str = json.loads(run("skopeo", "inspect", "--raw", f"docker-archive:{archive}"))["config"]["digest"]
    return raw


def test_skopeo_s_oci_archive_is_read_to_the_same_manifest(
    layout: Path, tmp_path: Path, opened: Opened
) -> None:
    skopeo_copy(f"oci:{layout}:both", f"oci-archive:{tmp_path / 'theirs.tar'}:{NAME}", "--all")

    archive = opened(tmp_path / "theirs.tar")

    (image,) = archive.images()
    assert image.names == (NAME,)
    assert image.root.digest == LayoutDirectory.open(str(layout)).resolve("both").digest
    copy(archive, LayoutDirectory.create(str(tmp_path / "out")), image.root)


@pytest.mark.package("umoci")
def test_umoci_unpacks_our_layout_directory(layout: Path, tmp_path: Path) -> None:
    source = LayoutDirectory.open(str(layout))
    target = LayoutDirectory.create(str(tmp_path / "ours"))
    copy(source, target, source.resolve("v1"))
    target.tag(source.resolve("v1"), "v1")

    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'ours'}:v1", tmp_path / "bundle")

    assert (tmp_path / "bundle/rootfs/usr/bin/tool").stat().st_size == 18_000
    assert "v1" in run("umoci", "list", "--layout", tmp_path / "ours")


@pytest.mark.root
@pytest.mark.package("podman")
@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_podman_loads_and_saves_our_archives_with_the_same_image_id(
    docker_archive: Path, tmp_path: Path, opened: Opened, kind: str
) -> None:
    saved = tmp_path / "saved.tar"

    with TemporaryDirectory(prefix="p") as short:  # podman wants a runroot of at most 50 characters
        podman = ("podman", "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs")
        run(*podman, "load", "--input", docker_archive)
        run(*podman, "save", "--format", f"{kind}-archive", "--output", saved, NAME)
    archive = opened(saved)

    (image,) = archive.images()
    assert image.names == (NAME,)
    assert Digest.of(config_in(archive, image.root)) == Digest.of(CONFIG)


@pytest.mark.root
@pytest.mark.package("podman")
def test_podman_s_archive_of_several_images_is_read_to_the_same_image_ids(
    docker_archive: Path, tmp_path: Path, opened: Opened
) -> None:
    saved = tmp_path / "saved.tar"
    with TemporaryDirectory(prefix="p") as short:
        podman = ("podman", "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs")
        run(*podman, "load", "--input", docker_archive)
        run(*podman, "save", "--multi-image-archive", "--output", saved, NAME, OTHER_NAME)

    archive = opened(saved)

    found = {name: config_in(archive, image.root) for image in archive.images() for name in image.names}
    assert found == {NAME: CONFIG, OTHER_NAME: OTHER_CONFIG}


def test_what_skopeo_writes_into_our_layout_directory_is_read(layout: Path, tmp_path: Path) -> None:
    target = LayoutDirectory.create(str(tmp_path / "ours"))

    skopeo_copy(f"oci:{layout}:v1", f"oci:{tmp_path / 'ours'}:v1")

    source = LayoutDirectory.open(str(layout))
    assert target.resolve("v1").digest == source.resolve("v1").digest
    assert (tmp_path / "ours" / blob_name(source.resolve("v1").digest)).is_file()
