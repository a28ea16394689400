"""Layers of other tools' images, merged and written out by us: path by path what umoci unpacks."""

import os
from pathlib import Path

from fixtures.images.foreign import Foreign
from fixtures.trees import differences, tree_facts
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.content import CHUNK, read_manifest
from layerstore.layer.ingest import LayerWriter
from layerstore.oci.manifest import Manifest
from layerstore.snapshot.directory import DirectoryDriver


def unpack_all(image: Foreign, directory: Path) -> list[str]:
    """The image's layers, each ingested into a directory below `directory`."""
    source = LayoutDirectory.open(str(image.layout))
    manifest = read_manifest(source, source.resolve(image.tag))
    assert isinstance(manifest, Manifest)
    made = []
    for number, layer in enumerate(manifest.layers):
        made.append(str(directory / f"layer{number}"))
        os.mkdir(made[-1])
        with source.fetch(layer) as stream, LayerWriter(made[-1]) as writer:
            while chunk := stream.read(CHUNK):
                writer.write(chunk)
            writer.finish()
    return made


def test_our_tree_is_what_umoci_unpacks(image: Foreign, tmp_path: Path) -> None:
    layers = unpack_all(image, tmp_path)
    (tmp_path / "snapshot").mkdir()

    DirectoryDriver().assemble(layers, str(tmp_path / "snapshot"), None)

    assert differences(tree_facts(tmp_path / "snapshot" / "fs"), image.facts) == {}
