"""Prunes ask first and take what is unused; copies go between any two places."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, layer
from fixtures.registry import Registry

OLD, NEW = layer([file("old")]), layer([file("new")])


@pytest.fixture
def replaced(lstore, tmp_path: Path):
    """A store with mine:latest, and the image that had this name before, nameless."""
    for number, each in enumerate((OLD, NEW)):
        builder = ImageBuilder()
        builder.add_image([each], tag="mine")
        lstore("load", "-i", str(builder.write(tmp_path / f"layout{number}")))
    return lstore


def count(lstore) -> int:
    return len(lstore("images", "-q").out.split())


def test_a_load_that_takes_a_name_says_so(replaced, tmp_path: Path) -> None:
    result = replaced("load", "-q", "-i", str(tmp_path / "layout0"))

    told = "The image mine:latest already exists; the old one has lost this name\nLoaded image: mine:latest\n"
    assert result.out == told
    names = replaced("images", "--format", "{{.Repository}}:{{.Tag}}").out.split()
    assert sorted(names) == ["<none>:<none>", "mine:latest"]


@pytest.mark.parametrize("answer", [b"", b"n\n", b"what\n"])
def test_only_a_yes_is_a_yes(replaced, answer: bytes) -> None:
    result = replaced("image", "prune", stdin=answer)

    assert result.status == 0
    assert result.out.endswith("Are you sure you want to continue? [y/N] ")
    assert count(replaced) == 2


def test_pruned_images_are_named_and_their_space_is_given_back(replaced) -> None:
    result = replaced("image", "prune", stdin=b"y\n")

    assert "WARNING! This will remove all dangling images." in result.out
    assert "Deleted Images:\ndeleted: sha256:" in result.out
    assert "Total reclaimed space: 0B" not in result.out
    assert count(replaced) == 1


def test_all_means_named_images_too(replaced) -> None:
    result = replaced("system", "prune", "-af")

    assert "untagged: mine:latest" in result.out
    assert count(replaced) == 0


@pytest.mark.parametrize(("flag", "left"), [("until=24h", 0), ("until=1960-01-01", 2), ("label=x", 2)])
def test_filters_hold_back(replaced, flag: str, left: int) -> None:
    assert replaced("image", "prune", "-af", "--filter", flag).status == 0
    assert count(replaced) == left


def test_what_was_used_lately_stays(replaced, tmp_path: Path) -> None:
    nameless = replaced("images", "-f", "dangling=true", "-q").out
    digest = replaced("inspect", "-f", "{{.Descriptor.digest}}", nameless.strip()).out.strip()
    manifest = tmp_path / "store/content/blobs/sha256" / digest.removeprefix("sha256:")
    os.utime(manifest, (0, 0))

    replaced("image", "prune", "-af", "--unused-for", "24h")

    assert replaced("images", "--format", "{{.Repository}}").out == "mine\n"


def test_the_least_recently_used_go_until_the_rest_fits(replaced) -> None:
    assert count(replaced) == 2
    replaced("image", "prune", "-af", "--keep-storage", "1GB")
    assert count(replaced) == 2

    replaced("image", "prune", "-af", "--keep-storage", "0")

    assert count(replaced) == 0


@pytest.mark.parametrize("flags", [["--keep-storage", "x"], ["--unused-for", "x"]])
def test_limits_that_mean_nothing_remove_nothing(replaced, flags: list[str]) -> None:
    assert replaced("image", "prune", "-af", *flags).status == 125
    assert count(replaced) == 2


def test_a_filter_that_prune_does_not_know_removes_nothing(replaced) -> None:
    result = replaced("image", "prune", "-af", "--filter", "before=x")

    assert result.status == 125
    assert count(replaced) == 2


def test_broken_off_downloads_go_with_the_system(replaced, tmp_path: Path) -> None:
    partial = tmp_path / "store/ingest" / f"sha256-{'0' * 64}"
    partial.mkdir()
    (partial / "blob").write_bytes(b"x" * 5000)
    assert "Partial downloads|1|" in replaced("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|").out

    replaced("system", "prune", "-f")

    assert not partial.exists()


def test_a_prune_beside_damage_says_that_nothing_was_collected(replaced, tmp_path: Path) -> None:
    kept = replaced("inspect", "-f", "{{.Descriptor.digest}}", "mine").out.strip()
    (tmp_path / "store/content/blobs/sha256" / kept.removeprefix("sha256:")).write_bytes(b"{")

    result = replaced("system", "prune", "-f")

    assert result.err.startswith("lstore: nothing was collected: ")
    assert result.err.endswith("  try: lstore fsck --repair\n")


def test_an_image_goes_round_all_places_with_its_digest(replaced, registry: Registry, tmp_path: Path) -> None:
    digest = replaced("inspect", "-f", "{{.Descriptor.digest}}", "mine").out
    places = [
        "store:mine",
        f"oci:{tmp_path}/copied:x",
        f"docker://{registry.address}/mine:1",
        f"oci-archive:{tmp_path}/copied.tar:mine",
        "store:again",
    ]

    for source, destination in pairwise(places):
        result = replaced("copy", "-q", source, destination)

        assert (result.status, result.out, result.err) == (0, digest, "")
    assert replaced("inspect", "-f", "{{.Descriptor.digest}}", "again").out == digest


def test_each_copy_out_of_the_store_tells_what_it_does(replaced, registry: Registry, tmp_path: Path) -> None:
    words = {
        f"docker://{registry.address}/mine:1": "Pushing",
        f"oci:{tmp_path}/copied": "Writing",
        f"oci-archive:{tmp_path}/copied.tar": "Writing",
        f"docker-archive:{tmp_path}/docker.tar": "Extracting",
    }

    told = {destination: replaced("copy", "store:mine", destination).err for destination in words}

    for destination, word in words.items():
        assert f": {word}\n" in told[destination]
        assert told[destination].endswith(": Complete\n")


@pytest.fixture
def bill(tmp_path: Path) -> str:
    """A place with an artifact about an image."""
    builder = ImageBuilder()
    image = builder.add_image([NEW])
    builder.add_artifact("application/x.test", b"what is in it", subject=image, tag="bill")
    return f"oci:{builder.write(tmp_path / 'artifact')}:bill"


def test_an_artifact_goes_round_all_places_that_take_one(
    lstore, registry: Registry, tmp_path: Path, bill: str
) -> None:
    name = f"{registry.address}/app:bill"
    places = [bill, f"docker://{name}", "store:bill", f"oci-archive:{tmp_path}/bill.tar:bill", "store:again"]

    copied = [lstore("copy", "-q", source, destination) for source, destination in pairwise(places)]

    assert [each.status for each in copied] == [0] * 4
    assert len({each.out for each in copied}) == 1
    assert lstore("images", "--no-trunc", "-q").out == copied[0].out
    assert lstore("fsck", "-q").status == 0


def test_an_artifact_that_is_pulled_as_an_image_is_refused_with_the_command_that_takes_it(
    lstore, registry: Registry, bill: str
) -> None:
    name = f"{registry.address}/app:bill"
    lstore("copy", bill, f"docker://{name}")

    result = lstore("pull", "-q", name)

    told = f"lstore: {name} is an artifact, not an image\n  try: lstore copy SOURCE store:{name}\n"
    assert (result.status, result.err) == (1, told)


def test_a_place_that_is_none_is_refused(lstore) -> None:
    result = lstore("copy", "nowhere", "store:x")

    assert result.status == 125
    assert result.err.startswith("lstore: cannot tell what 'nowhere' is: places begin with docker://, ")
