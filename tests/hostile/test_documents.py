"""docs/security.md: members and documents that are not what they ought to be, through each door that reads them."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import lstore
from fixtures.images.docker_archive import save_old
from fixtures.images.entries import Entry, character_device, fifo, file, hardlink, symlink
from fixtures.images.hostile import documents
from fixtures.images.layout import layer
from fixtures.registry import Registry
from fixtures.registry.storage import StoredManifest
from layerstore.errors import InvalidInput, LimitExceeded, LstoreError, StorageError, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from lstore.engine.engine import Engine
from lstore.engine.fsck import fsck
from lstore.engine.load import load
from lstore.engine.pull import pull
from tests.hostile.conftest import bounded
from tests.hostile.doors import NAME, pack, write_layout

HELLO = layer([file("hello", b"world")])
REFUSED = (InvalidInput, LimitExceeded, UnsupportedContent)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return lstore.open(str(tmp_path / "store"))


def refused(engine: Engine, act: Callable[[], object], *kinds: type[LstoreError]) -> None:
    with bounded(), pytest.raises(kinds or REFUSED) as caught:
        act()

    assert "\n" not in caught.value.message
    assert engine.store.refs.read().refs == ()
    assert fsck(engine).is_clean


@pytest.mark.parametrize("name", documents())
def test_a_document_that_breaks_parsers_is_refused_at_every_door(
    name: str, engine: Engine, tmp_path: Path, registry: Registry
) -> None:
    raw = documents()[name]
    layout = write_layout(tmp_path / "layout", [HELLO])
    (layout / "index.json").write_bytes(raw)
    archive = save_old([([HELLO], [NAME])])
    archive.put(file("manifest.json", raw))
    (tmp_path / "docker.tar").write_bytes(archive.to_tar())
    pushed = StoredManifest(mediatype.OCI_MANIFEST, Digest.of(raw), raw)
    registry.storage.add_manifest("hostile", pushed, "1")

    refused(engine, lambda: list(load(engine, str(layout))))
    refused(engine, lambda: list(load(engine, str(pack(layout, tmp_path / "oci.tar")))))
    if name != "an array":  # docker's own document is one, of no images
        refused(engine, lambda: list(load(engine, str(tmp_path / "docker.tar"))))
    refused(engine, lambda: pull(engine, Reference.parse(f"{registry.address}/hostile:1")), LstoreError)


def odd_members(name: str) -> list[Entry]:
    return [symlink(name, "/etc/hostname"), symlink(name, "other"), fifo(name), character_device(name, 1, 5)]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("member", ["manifest.json", "config", "layer"])
def test_a_member_of_a_docker_archive_that_is_no_plain_file_is_refused(
    member: str, kind: int, engine: Engine, tmp_path: Path
) -> None:
    archive = save_old([([HELLO], [NAME])])
    names = {
        "manifest.json": "manifest.json",
        "config": f"{archive.configs[0].encoded}.json",
        "layer": next(each for each in archive.members if each.endswith("layer.tar")),
    }
    odd = odd_members(names[member])[kind]
    archive.put(odd)
    (tmp_path / "docker.tar").write_bytes(archive.to_tar())

    refused(engine, lambda: list(load(engine, str(tmp_path / "docker.tar"))))


@pytest.mark.root
@pytest.mark.parametrize("kind", ["symlink", "fifo", "device"])
@pytest.mark.parametrize("member", ["oci-layout", "index.json", "blob"])
def test_a_member_of_a_layout_that_is_no_plain_file_is_refused(
    member: str, kind: str, engine: Engine, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path / "layout", [HELLO])
    blob = layout / "blobs/sha256" / Digest.of(HELLO.blob).encoded
    path = blob if member == "blob" else layout / member
    away = tmp_path / "away"
    path.rename(away)
    if kind == "symlink":
        path.symlink_to(away)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o20666, os.makedev(1, 5))

    refused(engine, lambda: list(load(engine, str(layout))), *REFUSED, StorageError)
    refused(engine, lambda: list(load(engine, str(pack(layout, tmp_path / "oci.tar")))))


def test_an_image_whose_layers_make_no_tree_moves_no_name(engine: Engine, tmp_path: Path) -> None:
    list(load(engine, str(write_layout(tmp_path / "good", [HELLO]))))
    before = engine.store.refs.read()

    with pytest.raises(InvalidInput):
        list(load(engine, str(write_layout(tmp_path / "bad", [layer([hardlink("a", "missing")])]))))

    assert engine.store.refs.read() == before


@pytest.mark.parametrize("name", ["deep arrays", "a million layers", "null"])
def test_the_command_line_tells_of_it_in_one_line(name: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        raw = documents()[name]
        info = tarfile.TarInfo("manifest.json")
        info.size = len(raw)
        tar.addfile(info, io.BytesIO(raw))
    command = [sys.executable, "-m", "lstore", "--root", str(tmp_path / "store"), "load", "-q"]

    done = subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=False, timeout=60)

    assert done.returncode == 1
    first, *rest = done.stderr.decode().splitlines()
    assert first.startswith("lstore: ")
    assert "bug" not in first
    assert all(line.startswith("  try: ") for line in rest)
