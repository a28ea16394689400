"""``--sbom``: the packages of an image, judged by dpkg-query, Python's own metadata, and SPDX's rules."""

import importlib.metadata
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures.builds import Builder

pytestmark = [pytest.mark.root, pytest.mark.package("skopeo")]

APK = """\
C:Q1sum=
P:musl
V:1.2.4-r2
A:x86_64
T:the musl c library

C:Q1other=
P:busybox
V:1.36.1-r5
A:x86_64
F:bin
R:busybox
"""
RELEASE = 'ID=alpine\nVERSION_ID="3.18.4"\n'


def statements(builder: Builder, context: Path, tmp_path: Path, *arguments: str) -> tuple[Any, list[Any]]:
    """The index of a build into a layout, and the statements beside its image."""
    layout = tmp_path / "layout"
    result = builder.build(context, "--output", f"type=oci,dest={layout},tar=false", *arguments)
    assert result.status == 0, result.errors
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci:{layout}:latest"], check=True, capture_output=True, timeout=60
    ).stdout
    index = json.loads(raw)
    attestation = read(layout, index["manifests"][-1]["digest"])
    return index, [read(layout, layer["digest"]) for layer in attestation["layers"]]


def read(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes())


def urls(document: Any) -> list[str]:
    return sorted(
        reference["referenceLocator"]
        for package in document["packages"]
        for reference in package.get("externalRefs", [])
    )


@pytest.mark.package("dpkg")
def test_debian_packages_are_those_that_dpkg_query_lists(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM scratch\nCOPY . /\n")
    database = context / "var/lib/dpkg"
    database.mkdir(parents=True)
    shutil.copy("/var/lib/dpkg/status", database)
    (context / "etc").mkdir()
    shutil.copy("/etc/os-release", context / "etc")

    _, (statement,) = statements(builder, context, tmp_path, "--sbom", "true")

    form = "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"
    query = ["dpkg-query", f"--admindir={database}", "--show", f"--showformat={form}"]
    lines = subprocess.run(query, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    expected = sorted(tuple(line.split("\t")[:2]) for line in lines if line.endswith("\tinstalled"))
    listed = [each for each in statement["predicate"]["packages"] if "versionInfo" in each]
    assert sorted((each["name"], each["versionInfo"]) for each in listed) == expected
    assert len(expected) > 50
    assert all(url.startswith("pkg:deb/") and "arch=" in url for url in urls(statement["predicate"]))


def test_what_a_later_layer_removed_is_in_no_list(builder: Builder, tmp_path: Path) -> None:
    context = builder.context(
        "FROM busybox\nCOPY installed /lib/apk/db/installed\nRUN rm /lib/apk/db/installed\n",
        {"installed": APK},
    )

    _, (statement,) = statements(builder, context, tmp_path, "--sbom", "true")

    assert urls(statement["predicate"]) == []


def test_apk_distroless_and_python_packages_are_found(builder: Builder, tmp_path: Path) -> None:
    files = {
        "lib/apk/db/installed": APK,
        "etc/os-release": RELEASE,
        "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12.4+deb12u1\nArchitecture: amd64\n",
        "var/lib/dpkg/status.d/base.md5sums": "0123  etc/x\n",
    }
    context = builder.context("FROM scratch\nCOPY . /\n", files)
    metadata = importlib.metadata.distribution("click").read_text("METADATA") or ""
    place = context / "usr/lib/python3/site-packages/click.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(metadata)

    _, (statement,) = statements(builder, context, tmp_path, "--attest", "type=sbom")

    version = importlib.metadata.version("click")
    assert urls(statement["predicate"]) == [
        "pkg:apk/alpine/busybox@1.36.1-r5?arch=x86_64&distro=alpine-3.18.4",
        "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4",
        "pkg:deb/alpine/base-files@12.4%2Bdeb12u1?arch=amd64&distro=alpine-3.18.4",
        f"pkg:pypi/click@{version}",
    ]


def test_the_statement_stands_where_buildkit_puts_it(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM scratch\nCOPY installed /lib/apk/db/installed\n", {"installed": APK})

    index, (sbom, provenance) = statements(
        builder, context, tmp_path, "--sbom", "true", "--provenance", "true"
    )

    image, attestation = index["manifests"]
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"] == {
        "vnd.docker.reference.digest": image["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    assert sbom["predicateType"] == "https://spdx.dev/Document"
    assert provenance["predicateType"].startswith("https://slsa.dev/provenance/")
    assert sbom["subject"][0]["digest"]["sha256"] == image["digest"].removeprefix("sha256:")


def test_the_document_has_what_spdx_demands(builder: Builder, tmp_path: Path) -> None:
    """SPDX 2.3: clause 6 (document), 7 (packages: name, id, download location), 11 (relationships)."""
    context = builder.context("FROM scratch\nCOPY installed /lib/apk/db/installed\n", {"installed": APK})

    _, (statement,) = statements(builder, context, tmp_path, "--sbom", "true")

    document = statement["predicate"]
    assert (document["spdxVersion"], document["dataLicense"]) == ("SPDX-2.3", "CC0-1.0")
    assert document["SPDXID"] == "SPDXRef-DOCUMENT"
    assert re.fullmatch(r"https://[^\s#]+", document["documentNamespace"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"])
    assert all(
        re.match(r"(Tool|Person|Organization): ", each) for each in document["creationInfo"]["creators"]
    )
    identities = [each["SPDXID"] for each in document["packages"]]
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", each) for each in identities)
    assert len(set(identities)) == len(identities) == 3
    assert all(each["name"] and each["downloadLocation"] for each in document["packages"])
    known = {*identities, "SPDXRef-DOCUMENT"}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known
    assert [each["relationshipType"] for each in document["relationships"]].count("DESCRIBES") == 1


def test_the_same_build_gives_the_same_list(builder: Builder) -> None:
    context = builder.context("FROM scratch\nCOPY installed /lib/apk/db/installed\n", {"installed": APK})

    first = builder.build(context, "--sbom", "true", "--no-cache")
    second = builder.build(context, "--sbom", "true", "--no-cache")

    assert first.status == 0
    assert first.id == second.id


def test_a_kind_of_statement_that_there_is_not_is_refused(builder: Builder) -> None:
    context = builder.context("FROM scratch")

    assert "generator=x" in builder.build(context, "--sbom", "generator=x").errors
    assert "type=sbom" in builder.build(context, "--attest", "type=other").errors
