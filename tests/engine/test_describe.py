"""`tag`, `inspect` and `history`: names move, and what is known of an image is told as docker tells it."""

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import CREATED, ImageBuilder, Layer, layer
from layerstore.errors import InvalidReference, NotFound, UnsupportedContent, UsageError
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.history import image_history
from lstore.engine.inspect import inspect_images
from lstore.engine.tag import tag_image


def test_a_tag_is_another_name_for_the_same_image(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    descriptor = put(builder, builder.add_image([hello]), "debian")

    tag_image(store, "debian", "registry.test:5000/mine:1")
    tag_image(store, catalog.find(store, "debian").id.short, "other")

    for name in ("debian", "registry.test:5000/mine:1", "other"):
        assert catalog.find(store, name).descriptor == descriptor


def test_a_tag_that_moves_leaves_the_old_image_nameless(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one")
    put(builder, builder.add_image([hello], config={"User": "x"}), "two")

    tag_image(store, "one", "two")

    dangling = [image for image in catalog.images(store, store.refs.read()) if image.is_dangling]
    assert len(dangling) == 1


def test_the_digest_of_a_registry_stays_with_its_repository(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    descriptor = put(builder, builder.add_image([hello]), "debian")

    tag_image(store, "debian", "debian:12")
    tag_image(store, "debian", "mine")

    found = inspect_images(store, ["mine"]).objects[0]
    assert found["RepoTags"] == ["debian:latest", "debian:12", "mine:latest"]
    assert found["RepoDigests"] == [f"debian@{descriptor.digest}"]


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("nothing", "new", NotFound),
        ("debian", "Upper", InvalidReference),
        ("debian", "debian@sha256:" + "0" * 64, UsageError),
    ],
)
def test_a_tag_that_cannot_be_changes_nothing(
    store: Store, put, hello: Layer, source: str, target: str, error: type[Exception]
) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "debian")
    before = store.refs.read()

    with pytest.raises(error):
        tag_image(store, source, target)

    assert store.refs.read() == before


def test_inspect_tells_what_docker_tells(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    descriptor = put(builder, builder.add_image([hello], config={"Env": ["A=1"], "Odd": 1}), "debian")

    result = inspect_images(store, ["debian", "nothing"])

    image = catalog.find(store, "debian")
    found = result.objects[0]
    assert found["Id"] == str(image.id)
    assert found["Config"] == {"Env": ["A=1"], "Odd": 1}
    assert found["RootFS"] == {"Type": "layers", "Layers": [str(hello.diff_id)]}
    assert (found["Os"], found["Architecture"], found["Created"]) == ("linux", "amd64", CREATED)
    assert found["Descriptor"]["digest"] == str(descriptor.digest)
    assert [type(failure) for failure in result.failures] == [NotFound]


def test_history_tells_the_last_step_first(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    other = layer([file("other", b"x" * 1000)])
    put(builder, builder.add_image([hello, other]), "debian")

    steps = image_history(store, "debian")

    assert [step.created_by for step in steps] == ["layer 1", "layer 0"]
    assert [step.size for step in steps] == [len(other.blob), len(hello.blob)]
    assert [step.image_id for step in steps] == [catalog.find(store, "debian").id, None]


def test_an_artifact_has_no_history(store: Store, put) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_artifact("application/x.test", b"data"), "artifact")

    with pytest.raises(UnsupportedContent):
        image_history(store, "artifact")
