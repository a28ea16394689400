"""Layers of our own travel compressed. What arrives is judged by the registry, skopeo, and Python's gzip."""

import gzip
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures.builds import Builder
from fixtures.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.package("skopeo")]

DOCKERFILE = "FROM busybox\nCOPY text /text\nRUN tr a-z A-Z < /text > /loud\n"
TEXT = {"text": "some words that come again and again\n" * 4000}


def skopeo(*arguments: str) -> Any:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def manifest(name: str) -> Any:
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")


def config(name: str) -> Any:
    return skopeo("inspect", "--config", "--tls-verify=false", f"docker://{name}")


def sent(builder: Builder, *arguments: str) -> str:
    done = builder.call("push", "-q", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def built(builder: Builder, name: str, *arguments: str) -> None:
    builder.image(DOCKERFILE, TEXT, "-t", name, *arguments)


def kinds(document: Any) -> list[str]:
    return [layer["mediaType"].rpartition(".tar")[2] for layer in document["layers"]]


def blobs_sent(registry: Registry) -> int:
    return registry.requests.count("PUT", "/blobs/uploads/")


def test_a_built_layer_arrives_as_the_gzip_of_its_tar(builder: Builder, registry: Registry) -> None:
    name = f"{registry.address}/gzip:1"
    built(builder, name)

    digest = sent(builder, name)

    document = manifest(name)
    assert kinds(document)[-2:] == ["+gzip", "+gzip"]
    storage = registry.address
    diff_ids = config(name)["rootfs"]["diff_ids"]
    for layer, diff_id in list(zip(document["layers"], diff_ids, strict=True))[-2:]:
        raw = blob(storage, "gzip", layer["digest"])
        assert (raw[:4], raw[4:8]) == (b"\x1f\x8b\x08\x00", bytes(4))  # no name and no time in it
        assert "sha256:" + hashlib.sha256(gzip.decompress(raw)).hexdigest() == diff_id
    assert skopeo("inspect", "--tls-verify=false", f"docker://{name}")["Digest"] == digest


def blob(address: str, repository: str, digest: str) -> bytes:
    url = f"http://{address}/v2/{repository}/blobs/{digest}"
    return subprocess.run(["curl", "-fsS", url], capture_output=True, check=True, timeout=60).stdout


def test_the_registrys_digest_is_what_the_store_tells_afterwards(
    builder: Builder, registry: Registry
) -> None:
    name = f"{registry.address}/told:1"
    built(builder, name)

    digest = sent(builder, name)

    shown = builder.call("images", "--digests", "--format", "{{.Repository}} {{.Digest}}").stdout
    assert f"{registry.address}/told {digest}" in shown
    inspected = json.loads(builder.call("inspect", name).stdout)[0]
    assert f"{registry.address}/told@{digest}" in inspected["RepoDigests"]
    assert "up to date" in builder.call("pull", name).stdout


def test_a_second_push_compresses_and_sends_nothing(builder: Builder, registry: Registry) -> None:
    name = f"{registry.address}/twice:1"
    built(builder, name)
    first = builder.call("push", name)
    before = blobs_sent(registry)

    second = builder.call("push", name)

    assert first.stdout.splitlines()[-1] == second.stdout.splitlines()[-1]
    assert "Compressing" in first.stdout + first.stderr
    assert "Compressing" not in second.stdout + second.stderr
    assert blobs_sent(registry) == before


def test_another_repository_of_the_registry_mounts_the_compressed_layers(
    builder: Builder, registry: Registry
) -> None:
    name, other = f"{registry.address}/mounted:1", f"{registry.address}/from/it:1"
    built(builder, name)
    sent(builder, name)
    before = blobs_sent(registry)
    builder.call("tag", name, other).check_returncode()

    sent(builder, other)

    assert blobs_sent(registry) == before
    assert manifest(other) == manifest(name)


def test_a_registry_that_lost_a_layer_gets_the_same_bytes_again(
    builder: Builder, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.address}/lost:1"
    built(builder, name)
    first = sent(builder, name)
    with Registry(tmp_path / "other") as fresh:
        elsewhere = f"{fresh.address}/lost:1"
        builder.call("tag", name, elsewhere).check_returncode()

        second = sent(builder, elsewhere)

        assert second == first
        assert manifest(elsewhere) == manifest(name)


def test_a_pull_shares_what_the_store_has_unpacked(lonely_builder: Builder, registry: Registry) -> None:
    builder, name = lonely_builder, f"{registry.address}/shared:1"
    built(builder, name)
    before = builder.tree(name)
    layers = sorted(each.name for each in (builder.root / "layers").iterdir())
    local = builder.config(name)
    sent(builder, name)
    builder.call("rmi", name).check_returncode()

    builder.call("pull", "-q", name).check_returncode()

    assert builder.config(name).raw == local.raw
    assert sorted(each.name for each in (builder.root / "layers").iterdir()) == layers
    assert builder.tree(name) == before


@pytest.mark.parametrize(
    ("flags", "ending"),
    [
        (["--compression-format", "zstd"], "+zstd"),
        (["--compression", "zstd", "--compression-level", "9"], "+zstd"),
        (["--compression-format", "none"], ""),
        (["--compression-level", "9"], "+gzip"),
    ],
)
def test_the_flags_say_how_layers_travel(
    builder: Builder, registry: Registry, flags: list[str], ending: str
) -> None:
    name = f"{registry.address}/flags:1"
    built(builder, name)

    sent(builder, *flags, name)

    assert kinds(manifest(name))[-2:] == [ending, ending]
    subprocess.run(
        ["skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{builder.directory}/pulled"],
        check=True,
        capture_output=True,
        timeout=60,
    )


def test_a_forced_compression_takes_the_base_along_and_changes_no_content(
    builder: Builder, registry: Registry
) -> None:
    name = f"{registry.address}/forced:1"
    built(builder, name)
    sent(builder, name)
    before = config(name)

    sent(builder, "--compression-format", "zstd", "--force-compression", name)

    assert set(kinds(manifest(name))) == {"+zstd"}
    assert config(name) == before


def test_what_was_pulled_keeps_its_bytes_although_its_layers_are_tars(
    builder: Builder, registry: Registry, tmp_path: Path
) -> None:
    name, other = f"{registry.address}/plain:1", f"{registry.address}/again:1"
    built(builder, name)
    digest = sent(builder, "--compression-format", "none", name)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Builder(tmp_path / "elsewhere")
    elsewhere.call("pull", "-q", name).check_returncode()
    elsewhere.call("tag", name, other).check_returncode()

    again = sent(elsewhere, other)

    assert again == digest


def test_statements_about_an_image_follow_it_to_its_new_digest(builder: Builder, registry: Registry) -> None:
    name = f"{registry.address}/attested:1"
    built(builder, name, "--provenance", "true")

    sent(builder, name)

    image, attestation = manifest(name)["manifests"]
    assert attestation["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    statement_of = manifest(f"{registry.address}/attested@{attestation['digest']}")["layers"][0]["digest"]
    statement = json.loads(blob(registry.address, "attested", statement_of))
    assert statement["subject"][0]["digest"]["sha256"] == image["digest"].removeprefix("sha256:")


@pytest.mark.parametrize("tar", ["true", "false"])
def test_an_oci_output_has_the_compression_that_it_asks_for(
    builder: Builder, tmp_path: Path, tar: str
) -> None:
    result = tmp_path / "result"
    options = f"type=oci,dest={result},tar={tar},compression=zstd,compression-level=7,force-compression=true"

    builder.image(DOCKERFILE, TEXT, "--output", options)

    place = f"oci-archive:{result}" if tar == "true" else f"oci:{result}:latest"
    assert set(kinds(skopeo("inspect", "--raw", place))) == {"+zstd"}


def test_an_image_output_is_named_and_pushed_as_buildx_spells_it(
    builder: Builder, registry: Registry
) -> None:
    name = f"{registry.address}/spelt:1"

    builder.image(DOCKERFILE, TEXT, "--output", f"type=image,name={name},push=true,compression=zstd")

    assert kinds(manifest(name))[-2:] == ["+zstd", "+zstd"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("type=docker,compression=gzip", "type=docker"),
        ("type=image,compression=zstd", "type=image"),
        ("type=oci,compression=estargz", "estargz"),
        ("type=oci,compression=gzip,compression-level=11", "0 to 9"),
        ("type=oci,compression=gzip,compression-level=x", "must be a number"),
    ],
)
def test_a_compression_that_cannot_be_had_is_refused(builder: Builder, options: str, message: str) -> None:
    result = builder.build(builder.context("FROM scratch"), "--output", f"{options},dest=/nowhere/x")

    assert result.status != 0
    assert message in result.errors
