"""Docker's archives, old and new: the same image IDs, verified layers, no tricks with members."""

import json
import lzma
from collections.abc import Callable

import pytest

from fixtures.images.docker_archive import save_hybrid, save_old
from fixtures.images.entries import (
    Entry,
    character_device,
    directory,
    fifo,
    file,
    hardlink,
    make_tar,
    symlink,
)
from fixtures.images.layout import layer
from fixtures.memory import MemoryTarget
from layerstore.archive.tar_archive import ImageArchive
from layerstore.content import read_document, read_manifest
from layerstore.copy import copy
from layerstore.errors import (
    ContentMismatch,
    InvalidArchive,
    InvalidInput,
    LimitExceeded,
    NotFound,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.manifest import Manifest

Opened = Callable[[bytes], ImageArchive]

BASE = layer([file("base", b"1")], "none")
TOP = layer([file("top", b"2")], "none")
OTHER = layer([file("other", b"3")], "none")


def manifest_of(archive: ImageArchive, position: int = 0) -> Manifest:
    manifest = read_manifest(archive, archive.images()[position].root)
    assert isinstance(manifest, Manifest)
    return manifest


def test_an_old_archive_keeps_image_ids_names_and_layers(opened: Opened) -> None:
    saved = save_old([((BASE, TOP), ("a:1", "b:2"))])

    archive = opened(saved.to_tar())

    (image,) = archive.images()
    manifest = manifest_of(archive)
    assert image.names == ("a:1", "b:2")
    assert manifest.config.digest == saved.configs[0]
    assert [each.digest for each in manifest.layers] == [BASE.diff_id, TOP.diff_id]
    assert {each.media_type for each in manifest.layers} == {mediatype.OCI_LAYER}
    assert str(image.root.platform) == "linux/amd64"
    assert archive.resolve("b:2") == image.root
    with pytest.raises(NotFound):
        archive.resolve("c:3")


def test_the_whole_image_can_be_copied_out_and_verifies(opened: Opened) -> None:
    archive = opened(save_old([((BASE, TOP, BASE), ("a:1",))]).to_tar())
    target = MemoryTarget()

    copy(archive, target, archive.resolve("a:1"))

    assert target.blobs[BASE.diff_id] == BASE.blob
    assert target.blobs[TOP.diff_id] == TOP.blob


def test_images_share_layers_through_links_as_docker_writes_them(opened: Opened) -> None:
    saved = save_old([((BASE, TOP), ("a:1",)), ((BASE, OTHER), ("b:1",)), ((BASE, TOP), ("c:1",))])
    archive = opened(saved.to_tar())
    target = MemoryTarget()

    for image in archive.images():
        copy(archive, target, image.root)

    assert [image.names for image in archive.images()] == [("a:1", "c:1"), ("b:1",)]
    assert sum(each.digest == BASE.diff_id for each in target.pushed) == 1


def test_an_image_saved_by_its_id_has_no_name(opened: Opened) -> None:
    archive = opened(save_old([((BASE,), ())]).to_tar())

    assert archive.images()[0].names == ()


@pytest.mark.parametrize(
    ("compression", "media_type"), [("gzip", mediatype.OCI_LAYER_GZIP), ("zstd", mediatype.OCI_LAYER_ZSTD)]
)
def test_compressed_layers_stay_as_they_are(
    opened: Opened, compression: mediatype.Compression, media_type: str
) -> None:
    packed = layer([file("base", b"1")], compression)
    archive = opened(save_old([((packed, packed), ("a:1",))]).to_tar())
    target = MemoryTarget()

    copy(archive, target, archive.resolve("a:1"))

    assert {each.media_type for each in manifest_of(archive).layers} == {media_type}
    assert target.blobs[Digest.of(packed.blob)] == packed.blob


def test_an_image_without_layers_is_read(opened: Opened) -> None:
    archive = opened(save_old([((), ("a:1",))]).to_tar())

    assert manifest_of(archive).layers == ()


def test_names_with_a_leading_dot_are_found(opened: Opened) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    saved.members = {
        f"./{name}": Entry(f"./{name}", kind=each.kind, data=each.data)
        for name, each in saved.members.items()
    }
    saved.put(file("./manifest.json", dump(saved.manifest)))
    tar = make_tar([each for name, each in saved.members.items() if name != "manifest.json"])

    archive = opened(tar)

    assert archive.images()[0].names == ("a:1",)


def test_a_layer_in_an_unknown_compression_is_named(opened: Opened) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    path = next(name for name in saved.members if name.endswith("layer.tar"))
    saved.put(file(path, lzma.compress(BASE.blob)))

    with pytest.raises(UnsupportedContent, match=r"layer\.tar.*xz"):
        opened(saved.to_tar())


def test_a_layer_with_other_bytes_never_verifies(opened: Opened) -> None:
    saved = save_old([((BASE, TOP), ("a:1",))])
    path = next(name for name in saved.members if name.endswith("layer.tar"))
    saved.put(file(path, BASE.blob[:-1] + b"x"))
    archive = opened(saved.to_tar())
    target = MemoryTarget()

    with pytest.raises(ContentMismatch):
        copy(archive, target, archive.resolve("a:1"))

    assert not target.has(archive.resolve("a:1"))


def test_a_configuration_with_other_bytes_than_its_name_says_is_damaged(opened: Opened) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    name = f"{saved.configs[0].encoded}.json"
    saved.put(file(name, saved.members[name].data.replace(b"amd64", b"arm64")))

    with pytest.raises(InvalidArchive, match="is damaged"):
        opened(saved.to_tar())


def test_layers_that_do_not_fit_the_configuration_are_refused(opened: Opened) -> None:
    saved = save_old([((BASE, TOP), ("a:1",))])
    entry = saved.manifest[0]
    assert isinstance(entry, dict)
    saved.manifest[0] = {**entry, "Layers": entry["Layers"][:1]}

    with pytest.raises(InvalidArchive, match=r"names 2 layers, manifest\.json 1"):
        opened(saved.to_tar())


NOT_PLAIN: list[Callable[[str], Entry]] = [
    lambda name: symlink(name, "/etc/passwd"),
    lambda name: symlink(name, "elsewhere"),
    lambda name: hardlink(name, "elsewhere"),
    fifo,
    lambda name: character_device(name, 1, 5),
    directory,
]
IDS = ["absolute symlink", "symlink", "hardlink", "fifo", "device", "directory"]


@pytest.mark.parametrize("make", NOT_PLAIN, ids=IDS)
@pytest.mark.parametrize("member", ["manifest.json", "config"])
def test_a_document_that_is_no_plain_file_is_refused_by_name(
    opened: Opened, make: Callable[[str], Entry], member: str
) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    name = f"{saved.configs[0].encoded}.json" if member == "config" else member
    saved.put(file("elsewhere", dump(saved.manifest)))
    saved.put(make(name))

    with pytest.raises(InvalidArchive, match=name[:20]):
        opened(saved.to_tar())


@pytest.mark.parametrize("make", [NOT_PLAIN[2], *NOT_PLAIN[3:]], ids=[IDS[2], *IDS[3:]])
def test_a_layer_that_is_no_plain_file_is_refused_by_name(
    opened: Opened, make: Callable[[str], Entry]
) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    path = next(name for name in saved.members if name.endswith("layer.tar"))
    saved.put(file("elsewhere", BASE.blob))
    saved.put(make(path))

    with pytest.raises(InvalidArchive, match=r"layer\.tar"):
        opened(saved.to_tar())


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/passwd", "links out of the archive"),
        ("../../etc/passwd", "links out of the archive"),
        ("../..", "links out of the archive"),
        ("../nowhere", "no member"),
        ("layer.tar", "chain"),
        ("../loop/layer.tar", "chain"),
        ("..", "no member"),
    ],
)
def test_a_layer_s_link_leads_to_a_plain_file_of_the_archive_or_nowhere(
    opened: Opened, target: str, reason: str
) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    path = next(name for name in saved.members if name.endswith("layer.tar"))
    saved.put(symlink(path, target))
    saved.put(symlink("loop/layer.tar", f"../{path}"))

    with pytest.raises(InvalidArchive, match=reason):
        opened(saved.to_tar())


def test_a_chain_of_links_is_followed_only_so_far(opened: Opened) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    path = next(name for name in saved.members if name.endswith("layer.tar"))
    saved.put(file("l/0", BASE.blob))
    for number in range(1, 20):
        saved.put(symlink(f"l/{number}", f"{number - 1}"))

    saved.put(symlink(path, "../l/3"))
    near = opened(saved.to_tar())
    saved.put(symlink(path, "../l/19"))

    assert near.images()[0].names == ("a:1",)
    with pytest.raises(InvalidArchive, match="chain"):
        opened(saved.to_tar())


@pytest.mark.parametrize("name", ["manifest.json", "config"])
def test_a_document_that_is_there_twice_is_refused(opened: Opened, name: str) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    if name == "config":
        name = f"{saved.configs[0].encoded}.json"

    with pytest.raises(InvalidArchive, match="twice"):
        opened(saved.to_tar(extra=[file(name, b"[]")]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b"[null]",
        b"[[]]",
        b"[{}]",
        b'[{"Config":null}]',
        b'[{"Config":["x"]}]',
        b'[{"Config":"x","Layers":{}}]',
        b'[{"Config":"x","Layers":[1]}]',
        b'[{"Config":"x","RepoTags":"a:1"}]',
        b'[{"Config":"x","RepoTags":[null]}]',
        b'[{"Config":"../../../etc/passwd"}]',
        b'[{"Config":"/etc/passwd"}]',
        b'[{"Config":"missing"}]',
        b'[{"Config":"x","Config":"y"}]',
        b'[{"Config":"\\ud800"}]',
        b"[" * 200_000,
        b'[{"a":' * 100_000,
        b'[{"Config":"\xff"}]',
    ],
)
def test_a_malformed_manifest_ends_in_one_clear_error(opened: Opened, raw: bytes) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    saved.put(file("manifest.json", raw))

    with pytest.raises(InvalidArchive) as caught:
        opened(saved.to_tar())

    assert "\n" not in caught.value.message


def test_too_much_of_anything_is_refused(opened: Opened) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    entry = saved.manifest[0]
    assert isinstance(entry, dict)
    for manifest in (
        [0] * 1_000_000,
        [{**entry, "Layers": ["x"] * 1_000_000}],
        [{**entry, "RepoTags": ["x"] * 1_000_000}],
    ):
        saved.put(file("manifest.json", dump(manifest)))
        with pytest.raises(LimitExceeded):
            opened(saved.to_tar())


@pytest.mark.parametrize(
    "change", [{"rootfs": None}, {"rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}}, {"os": 1}]
)
def test_a_malformed_configuration_is_named(opened: Opened, change: dict[str, Json]) -> None:
    saved = save_old([((BASE,), ("a:1",))])
    entry = saved.manifest[0]
    assert isinstance(entry, dict)
    saved.put(file("config.json", dump({"os": "linux", "architecture": "amd64", **change})))
    saved.manifest[0] = {**entry, "Config": "config.json"}

    with pytest.raises(InvalidArchive, match=r"config\.json"):
        opened(saved.to_tar())


def test_an_archive_of_docker_before_1_10_is_refused_with_what_to_do(opened: Opened) -> None:
    tar = make_tar([file("repositories", b"{}"), file("abc/layer.tar", BASE.blob), file("abc/json", b"{}")])

    with pytest.raises(UnsupportedContent, match=r"before 1\.10") as caught:
        opened(tar)

    assert caught.value.hint


def test_a_hybrid_archive_keeps_the_manifest_it_came_with(opened: Opened) -> None:
    packed = layer([file("base", b"1")], "gzip")
    saved = save_hybrid([((packed,), ("a:1", "b:2")), ((OTHER,), ())])

    archive = opened(saved.to_tar())

    assert [image.names for image in archive.images()] == [("a:1", "b:2"), ()]
    assert [manifest_of(archive, each).config.digest for each in range(2)] == saved.configs
    assert manifest_of(archive).layers[0].digest == Digest.of(packed.blob)


def test_a_hybrid_archive_s_whole_names_win_over_tags(opened: Opened) -> None:
    annotations = {
        "io.containerd.image.name": "docker.io/library/a:1",
        "org.opencontainers.image.ref.name": "1",
    }

    archive = opened(save_hybrid([((BASE,), ("a:1",))], [annotations]).to_tar())

    assert archive.images()[0].names == ("docker.io/library/a:1",)


def test_a_bare_tag_gives_way_to_docker_s_names(opened: Opened) -> None:
    archive = opened(
        save_hybrid([((BASE,), ("a:1",))], [{"org.opencontainers.image.ref.name": "1"}]).to_tar()
    )

    assert archive.images()[0].names == ("a:1",)


def test_a_hybrid_archive_names_an_index_by_the_platform_that_is_there(opened: Opened) -> None:
    saved = save_hybrid([((BASE,), ("a:1",))])
    present = json.loads(saved.members["index.json"].data)["manifests"][0]
    absent = {**present, "digest": str(Digest.of(b"another platform"))}
    index = dump({"schemaVersion": 2, "manifests": [absent, present]})
    root = Descriptor.of(mediatype.OCI_INDEX, index)
    saved.put(file(f"blobs/sha256/{root.digest.encoded}", index))
    saved.put(file("index.json", dump({"schemaVersion": 2, "manifests": [root.to_json()]})))

    archive = opened(saved.to_tar())

    (image,) = archive.images()
    assert (image.names, image.root) == (("a:1",), root)
    assert archive.has(Descriptor.from_json(present))
    assert not archive.has(Descriptor.from_json(absent))


def test_whatever_is_cut_off_or_flipped_ends_in_a_typed_error_or_a_sound_image(opened: Opened) -> None:
    whole = save_old([((BASE, TOP), ("a:1",))]).to_tar()
    damaged = [whole[:end] for end in range(0, len(whole), 1021)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :] for at in range(0, len(whole), 509)]

    for tar in damaged:
        try:
            archive = opened(tar)
            for image in archive.images():
                copy(archive, MemoryTarget(), image.root)
                read_document(archive, image.root)
        except (InvalidInput, ContentMismatch, UnsupportedContent, LimitExceeded, NotFound):
            continue
