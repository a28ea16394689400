"""The filters of `images` pick what docker's pick."""

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.images.layout import ImageBuilder, Layer, configuration_of
from layerstore.errors import NotFound, UsageError
from layerstore.oci import mediatype
from layerstore.oci.document import dump
from layerstore.oci.platform import Platform
from layerstore.store.store import Store
from lstore.engine.images import ImageQuery, list_images, parse_moment

NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def filled(store: Store, put, hello: Layer) -> Store:
    """old, middle and new, a month apart, and a nameless one of no time; middle is labelled."""
    amd64 = Platform("linux", "amd64")
    for name, created, labels in (
        ("old:1", "2024-03-01T00:00:00Z", {}),
        ("registry.test:5000/team/middle", "2024-04-01T00:00:00.123456789Z", {"tier": "base", "x": "1"}),
        ("new", "2024-05-01T00:00:00+00:00", {"tier": "app"}),
        (None, "", {}),
    ):
        builder = ImageBuilder()
        document = {**configuration_of([hello], {"Labels": labels}, amd64), "created": created}
        config = builder.add_blob(mediatype.OCI_CONFIG, dump(document))
        layer = builder.add_blob(mediatype.OCI_LAYER_GZIP, hello.blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json()],
        }
        descriptor = builder.add_document(mediatype.OCI_MANIFEST, manifest)
        put(builder, descriptor, *([name] if name else []))
    return store


def names(store: Store, pattern: str = "", **filters: list[str]) -> list[str]:
    query = ImageQuery(pattern, {key.replace("_", "!"): values for key, values in filters.items()})
    found = list_images(store, query, NOW)
    return [next((name.familiar for name in image.names), "-").rpartition("/")[2] for image in found]


def test_the_newest_image_comes_first(filled: Store) -> None:
    assert names(filled) == ["new:latest", "middle:latest", "old:1", "-"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"dangling": ["true"]}, ["-"]),
        ({"dangling": ["false"]}, ["new:latest", "middle:latest", "old:1"]),
        ({"label": ["tier"]}, ["new:latest", "middle:latest"]),
        ({"label": ["tier=base", "x"]}, ["middle:latest"]),
        ({"label_": ["tier=base"]}, ["new:latest", "old:1", "-"]),
        ({"before": ["new"]}, ["middle:latest", "old:1", "-"]),
        ({"since": ["old:1"]}, ["new:latest", "middle:latest"]),
        ({"until": ["2024-04-15"]}, ["middle:latest", "old:1"]),
        ({"until": ["1000h"]}, ["middle:latest", "old:1"]),
        ({"reference": ["old", "new"]}, ["new:latest", "old:1"]),
        ({"reference": ["*/*/middle"]}, ["middle:latest"]),
        ({"reference": ["*:1"]}, ["old:1"]),
        ({"label": ["tier"], "before": ["new"]}, ["middle:latest"]),
    ],
)
def test_filters_pick_as_docker_does(
    filled: Store, filters: dict[str, list[str]], expected: list[str]
) -> None:
    assert names(filled, **filters) == expected


@pytest.mark.parametrize("pattern", ["old", "old:1", "docker.io/library/old", "o*", "library/old"])
def test_a_pattern_fits_short_and_full_names(filled: Store, pattern: str) -> None:
    assert names(filled, pattern) == ["old:1"]


@pytest.mark.parametrize("filters", [{"nope": ["1"]}, {"dangling": ["maybe"]}, {"until": ["yesterday"]}])
def test_a_filter_that_means_nothing_is_refused(filled: Store, filters: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError):
        names(filled, **filters)


def test_before_an_unknown_image_is_an_error(filled: Store) -> None:
    with pytest.raises(NotFound):
        names(filled, before=["nothing"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("0", datetime.fromtimestamp(0, UTC)),
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10, tzinfo=UTC)),
    ],
)
def test_moments_are_durations_dates_and_seconds(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment
