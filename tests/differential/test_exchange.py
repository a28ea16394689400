"""lstore between Debian's tools: what they pushed, we mount; what we push, save or keep, they read; digests stay."""

import json
from pathlib import Path

import pytest

from fixtures.command import Lstore
from fixtures.images.foreign import BUILDAH, UMOCI, Foreign, Workshop
from fixtures.registry import Registry


@pytest.fixture
def host(registry: Registry) -> str:
    """The registry's host and port, as image names begin with them."""
    return registry.url.removeprefix("http://")


def config_digest(workshop: Workshop, place: str) -> str:
    """The digest of the configuration of the image at `place`, by skopeo."""
    raw = json.loads(workshop.run("skopeo", "inspect", "--raw", "--tls-verify=false", place))
    digest: str = raw["config"]["digest"]
    return digest


def manifest_digest(workshop: Workshop, place: str) -> str:
    """The digest of the manifest at `place`, by skopeo."""
    return workshop.run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", place)


def test_what_skopeo_pushed_mounts_as_umoci_unpacks_it(
    image: Foreign, any_lstore: Lstore, workshop: Workshop, host: str
) -> None:
    workshop.skopeo_copy(image.place, f"docker://{host}/image:1")

    any_lstore("pull", f"{host}/image:1")

    any_lstore.check_tree(f"{host}/image:1", image.facts)


def test_what_buildah_pushed_mounts_as_umoci_unpacks_it(
    images: dict[str, Foreign], any_lstore: Lstore, workshop: Workshop, host: str
) -> None:
    workshop.push(f"{host}/image:1")

    any_lstore("pull", f"{host}/image:1")

    any_lstore.check_tree(f"{host}/image:1", images[BUILDAH].facts)


def test_of_an_index_by_buildah_each_platform_is_its_own_image(
    images: dict[str, Foreign], any_lstore: Lstore, workshop: Workshop, host: str
) -> None:
    workshop.push_index(f"{host}/two:1")

    native = any_lstore("pull", "-q", "--platform", "linux/amd64", f"{host}/two:1")
    any_lstore.check_tree(f"{host}/two:1", images[BUILDAH].facts)
    any_lstore("pull", "-q", "--platform", "linux/arm64", f"{host}/two:1")

    assert native
    listed = any_lstore("images", "--format", "{{.ID}}", f"{host}/two").split()
    assert len(set(listed)) == 2


def test_an_image_pushed_by_lstore_keeps_its_digest_in_skopeos_hands(
    image: Foreign, lstore: Lstore, workshop: Workshop, host: str, tmp_path: Path
) -> None:
    original = manifest_digest(workshop, image.place)
    workshop.skopeo_copy(image.place, f"docker://{host}/image:1")
    lstore("pull", f"{host}/image:1")
    lstore("tag", f"{host}/image:1", f"{host}/again:2")
    lstore("push", f"{host}/again:2")

    workshop.skopeo_copy(f"docker://{host}/again:2", f"oci:{tmp_path}/copied:x", "--preserve-digests")

    assert manifest_digest(workshop, f"docker://{host}/again:2") == original
    assert manifest_digest(workshop, f"oci:{tmp_path}/copied:x") == original


def test_skopeo_reads_the_store_in_place(
    image: Foreign, lstore: Lstore, workshop: Workshop, host: str, tmp_path: Path
) -> None:
    workshop.skopeo_copy(image.place, f"docker://{host}/image:1")
    lstore("pull", f"{host}/image:1")
    lstore("tag", f"{host}/image:1", "debian")
    content = lstore.root / "content"

    workshop.skopeo_copy(f"oci:{content}:debian", f"oci:{tmp_path}/copied:x")

    original = manifest_digest(workshop, image.place)
    assert manifest_digest(workshop, f"oci:{content}:debian") == original
    assert manifest_digest(workshop, f"oci:{content}:{host}/image:1") == original
    assert manifest_digest(workshop, f"oci:{tmp_path}/copied:x") == original


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_lstore_saves_skopeo_reads_as_the_same_image(
    form: str, image: Foreign, lstore: Lstore, workshop: Workshop, host: str, tmp_path: Path
) -> None:
    workshop.skopeo_copy(image.place, f"docker://{host}/image:1")
    lstore("pull", f"{host}/image:1")
    lstore("save", "--format", form, "--output", tmp_path / "saved.tar", f"{host}/image:1")

    workshop.skopeo_copy(f"{form}:{tmp_path}/saved.tar", f"dir:{tmp_path}/copied")

    assert config_digest(workshop, f"dir:{tmp_path}/copied") == config_digest(workshop, image.place)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_skopeo_saves_lstore_loads_as_the_same_image(
    form: str, images: dict[str, Foreign], any_lstore: Lstore, workshop: Workshop, tmp_path: Path
) -> None:
    image = images[UMOCI]
    archive = f"{form}:{tmp_path}/saved.tar:docker.io/library/image:1"
    workshop.skopeo_copy(image.place, archive)

    any_lstore("load", "--input", tmp_path / "saved.tar")

    assert str(any_lstore.image_id("image:1")) == config_digest(workshop, image.place)
    any_lstore.check_tree("image:1", image.facts)


def test_what_lstore_saves_buildah_can_start_from(
    images: dict[str, Foreign], lstore: Lstore, workshop: Workshop, host: str, tmp_path: Path
) -> None:
    workshop.skopeo_copy(images[BUILDAH].place, f"docker://{host}/image:1")
    lstore("pull", f"{host}/image:1")
    lstore("save", "--output", tmp_path / "saved.tar", f"{host}/image:1")

    container = workshop.buildah("from", f"docker-archive:{tmp_path}/saved.tar")

    assert workshop.buildah("inspect", "--format", "{{.FromImageID}}", container) == config_digest(
        workshop, images[BUILDAH].place
    ).removeprefix("sha256:")
