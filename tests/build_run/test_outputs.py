"""What ``--output``, ``--metadata-file`` and ``--iidfile`` say and hold, judged by skopeo and GNU tar."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures.builds import Builder

pytestmark = [pytest.mark.root, pytest.mark.package("skopeo")]

DOCKERFILE = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY --chown=5:6 f /d/f\n"
FILES = {"f": "content"}


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def skopeo(*arguments: str) -> Any:
    return json.loads(run("skopeo", *arguments))


@pytest.mark.parametrize("tar", ["true", "false"])
def test_skopeo_finds_each_platform_in_an_index(builder: Builder, tmp_path: Path, tar: str) -> None:
    result, metadata, iid = tmp_path / "result", tmp_path / "metadata", tmp_path / "iid"
    output = f"type=oci,dest={result},tar={tar}"
    platforms = "linux/amd64,linux/arm64"

    builder.image(
        DOCKERFILE, FILES, "--platform", platforms, "-o", output, "--metadata-file", str(metadata),
        "--iidfile", str(iid),
    )  # fmt: skip

    place = f"oci-archive:{result}" if tar == "true" else f"oci:{result}:latest"
    index = skopeo("inspect", "--raw", place)
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
    for arch in ("amd64", "arm64"):
        config = skopeo("--override-arch", arch, "inspect", "--config", place)
        assert (config["architecture"], config["config"]["Labels"]) == (arch, {"arch": arch})
    digest = run("skopeo", "manifest-digest", str(_raw(tmp_path, place))).strip()
    said = json.loads(metadata.read_text())
    assert (said["containerimage.digest"], said["containerimage.descriptor"]["digest"]) == (digest, digest)
    assert iid.read_text() == digest


def _raw(tmp_path: Path, place: str) -> Path:
    path = tmp_path / "manifest.json"
    done = subprocess.run(["skopeo", "inspect", "--raw", place], check=True, capture_output=True, timeout=60)
    path.write_bytes(done.stdout)
    return path


def test_the_files_are_those_that_skopeo_and_tar_see(builder: Builder, tmp_path: Path) -> None:
    flags = ["-o", f"type=tar,dest={tmp_path}/root.tar", "-o", f"type=local,dest={tmp_path}/files"]
    flags += ["-o", f"type=docker,dest={tmp_path}/docker.tar", "--iidfile", str(tmp_path / "iid")]

    builder.image(DOCKERFILE, FILES, "-t", "judged:1", *flags)

    listed = run("tar", "--numeric-owner", "-tvf", str(tmp_path / "root.tar")).splitlines()
    assert [(line.split()[1], line.split()[-1]) for line in listed] == [("5/6", "d/"), ("5/6", "d/f")]
    assert run("tar", "-xOf", str(tmp_path / "root.tar"), "d/f") == "content"
    assert (tmp_path / "files/d/f").read_text() == "content"
    copied = tmp_path / "copied"
    run("skopeo", "copy", f"docker-archive:{tmp_path}/docker.tar:judged:1", f"dir:{copied}")
    manifest = json.loads((copied / "manifest.json").read_text())
    assert manifest["config"]["digest"] == (tmp_path / "iid").read_text()
