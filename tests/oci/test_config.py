"""Image configurations: OCI's and docker's, exact bytes, typed errors."""

import json

import pytest

from layerstore.errors import InvalidDigest, InvalidDocument, LimitExceeded
from layerstore.oci.config import Defaults, ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json
from layerstore.oci.platform import Platform

DIFF_ID = Digest.of(b"tar")
MINIMAL: dict[str, Json] = {
    "os": "linux",
    "architecture": "amd64",
    "rootfs": {"type": "layers", "diff_ids": [str(DIFF_ID)]},
}


def spell(body: object) -> bytes:
    return json.dumps(body, indent=1).encode()


def test_a_full_configuration_is_understood() -> None:
    raw = spell(
        {
            **MINIMAL,
            "created": "2024-01-01T00:00:00Z",
            "author": "someone",
            "docker_version": "20.10",
            "config": {
                "User": "1:1",
                "Env": ["PATH=/bin", "EMPTY="],
                "Entrypoint": ["/init"],
                "Cmd": ["sh", "-c"],
                "WorkingDir": "/srv",
                "StopSignal": "SIGINT",
                "Labels": {"a": "b"},
                "Volumes": {"/data": {}},
                "ExposedPorts": {"80/tcp": {}},
                "Healthcheck": {"Test": ["NONE"]},
            },
            "history": [{"created_by": "ADD x", "comment": "c"}, {"created_by": "ENV", "empty_layer": True}],
        }
    )

    config = ImageConfig.parse(raw)

    assert config.raw == raw
    assert config.image_id == Digest.of(raw)
    assert config.platform == Platform("linux", "amd64")
    assert config.diff_ids == (DIFF_ID,)
    assert config.defaults == Defaults(
        user="1:1",
        env=("PATH=/bin", "EMPTY="),
        entrypoint=("/init",),
        cmd=("sh", "-c"),
        working_dir="/srv",
        stop_signal="SIGINT",
        labels={"a": "b"},
        volumes=("/data",),
        exposed_ports=("80/tcp",),
    )
    assert [each.empty_layer for each in config.history] == [False, True]
    assert config.document["docker_version"] == "20.10"


def test_null_and_absent_fields_are_empty_as_docker_writes_them() -> None:
    nulls = {"Env": None, "Cmd": None, "Entrypoint": None, "Labels": None, "Volumes": None}

    config = ImageConfig.parse(spell({**MINIMAL, "config": nulls, "history": None}))

    assert config.defaults == Defaults(labels={})
    assert config.history == ()


@pytest.mark.parametrize(
    "change",
    [
        {"rootfs": []},
        {"rootfs": {"type": "vhd", "diff_ids": []}},
        {"rootfs": {"type": "layers", "diff_ids": "x"}},
        {"rootfs": {"type": "layers", "diff_ids": [1]}},
        {"rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}},
        {"os": 1},
        {"config": "x"},
        {"config": {"Env": "A=b"}},
        {"config": {"Env": [1]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Volumes": ["/data"]}},
        {"history": {}},
        {"history": [1]},
        {"created": 0},
    ],
)
def test_a_malformed_configuration_ends_in_a_typed_error(change: dict[str, Json]) -> None:
    with pytest.raises((InvalidDocument, InvalidDigest)):
        ImageConfig.parse(spell({**MINIMAL, **change}))


def test_lists_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        ImageConfig.parse(spell({**MINIMAL, "history": [{}] * 10_000}))


def test_a_manifest_with_another_number_of_layers_is_refused() -> None:
    config = ImageConfig.parse(spell(MINIMAL))

    config.check_layers(1)

    with pytest.raises(InvalidDocument, match="names 1 layers, its manifest 2"):
        config.check_layers(2)
