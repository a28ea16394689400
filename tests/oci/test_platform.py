"""Platforms: docker's spelling (containerd ``platforms``) and its order of preference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidPlatform
from layerstore.oci.platform import Platform, best_match


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("Linux/AMD64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm64/v9.2", "linux/arm64/v9.2"),
        ("linux/arm", "linux/arm"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/arm/6", "linux/arm/v6"),
        ("armhf", "linux/arm"),
        ("armel", "linux/arm/v6"),
        ("armv6l", "linux/arm/v6"),
        ("i686", "linux/386"),
        ("loongarch64", "linux/loong64"),
        ("windows/amd64", "windows/amd64"),
        ("linux/s390x", "linux/s390x"),
    ],
)
def test_a_platform_has_one_canonical_spelling(text: str, canonical: str) -> None:
    assert str(Platform.parse(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "/", "linux/", "linux//v7", "a/b/c/d", "linux/am d64", "../x", "linux/a\n"]
)
def test_text_that_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("host", "order"),
    [
        ("linux/amd64", ["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
        ("linux/arm64", ["linux/arm64", "linux/arm/v8", "linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        (
            "linux/arm64/v8.1",
            ["linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm", "linux/arm/v6", "linux/arm/v5"],
        ),
        ("linux/arm/v7", ["linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v6", ["linux/arm/v6", "linux/arm/v5"]),
        ("linux/s390x", ["linux/s390x"]),
        ("linux/386", ["linux/386"]),
    ],
)
def test_a_host_runs_its_own_variant_first_then_lesser_ones(host: str, order: list[str]) -> None:
    assert [str(each) for each in Platform.parse(host).runnable()] == order


def test_arm64_v9_runs_what_v8_5_runs() -> None:
    order = [str(each) for each in Platform.parse("linux/arm64/v9").runnable()]

    assert order[:3] == ["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64/v8.4"]
    assert order[5:7] == ["linux/arm64/v8.1", "linux/arm64"]


@pytest.mark.parametrize(
    ("host", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/386", "linux/amd64"], 2),
        ("linux/amd64", ["linux/arm64", "linux/386"], 1),
        ("linux/amd64", ["linux/amd64/v2", "linux/arm64"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("linux/amd64", [], None),
    ],
)
def test_the_best_offer_is_chosen_as_docker_does(host: str, offered: list[str], chosen: int | None) -> None:
    assert best_match(Platform.parse(host), [Platform.parse(each) for each in offered]) == chosen


def test_os_version_and_features_do_not_hinder_a_match() -> None:
    offered = Platform("linux", "amd64", os_version="1", os_features=("x",))

    assert best_match(Platform.parse("linux/amd64"), [offered]) == 0


def test_an_attestation_is_for_no_platform() -> None:
    assert Platform.parse("unknown/unknown").is_unknown
    assert Platform.from_json({}).is_unknown
    assert not Platform.parse("linux/amd64").is_unknown


def test_uname_of_a_host_is_understood() -> None:
    assert Platform.host("x86_64") == Platform("linux", "amd64")
    assert Platform.host("armv7l") == Platform("linux", "arm")
    assert Platform.host("riscv64") == Platform("linux", "riscv64")


names = st.sampled_from(["amd64", "x86_64", "arm64", "aarch64", "arm", "armhf", "386", "riscv64", "ppc64le"])
variants = st.sampled_from(["", "v1", "v2", "v5", "v6", "v7", "v8", "v8.3", "v9", "v9.4", "8"])


@given(names, variants)
def test_json_round_trips_and_a_host_always_runs_itself(architecture: str, variant: str) -> None:
    platform = Platform.from_json({"os": "linux", "architecture": architecture, "variant": variant})

    assert Platform.from_json(platform.to_json()) == platform
    assert platform.runnable()[0] == platform
    assert len(set(platform.runnable())) == len(platform.runnable())
    assert best_match(platform, [platform]) == 0
