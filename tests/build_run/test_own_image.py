"""Our own test image: Dockerfile.test on Debian, built by lstore, passes our tests in a container.

Which of them, and why not the others: `TESTS`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.builds import Builder
from fixtures.command import REPOSITORY
from fixtures.images.debian_base import make_base, python_version

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.package("mmdebstrap")]

PACKAGES = "acl attr e2fsprogs erofs-utils xz-utils zstd"
"""Without browsers and other tools' runtimes, which the tests below do not use."""
TESTS = (
    "archive", "build", "disk", "docs", "engine", "explore", "fixtures", "fuzz", "hostile", "layer", "linux", "mount",
    "oci", "registry_client", "runner", "snapshot", "store",
)  # fmt: skip
"""Not `cli` and `crash`, which start and kill commands for minutes; not `differential`, whose tools are not in this
image; not `build_run`, `bundle`, `containers` and `limits`, which start containers, mostly as root. Of those here,
tests that need root, a browser, another tool or a package of Debian's archive skip themselves; `make test` runs all.
"""
PATIENCE = 500


@pytest.mark.timeout(1200)
def test_the_test_image_passes_the_tests_that_need_no_privilege(builder: Builder, tmp_path: Path) -> None:
    base = make_base(tmp_path)
    wheels = download_wheels(tmp_path / "wheels", python_version(base))
    builder.call("import", str(base), "debian:own").check_returncode()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o1777)

    built = call(
        builder, "build", "-q", "-f", str(REPOSITORY / "Dockerfile.test"), "-t", "lstore-test",
        "--build-arg", "BASE=debian:own", "--build-arg", f"PACKAGES={PACKAGES}",
        "--build-arg", "PIP_NO_INDEX=1", "--build-context", f"wheels={wheels}", str(REPOSITORY),
    )  # fmt: skip
    # Some of the tests try system calls that docker's filter refuses, and some measure files as du does, which
    # is another number on an overlay.
    run = call(
        builder, "run", "--rm", "--security-opt", "seccomp=unconfined", "-v", f"{scratch}:/tmp", "lstore-test",
        ".venv/bin/pytest", "-q", "-n", "2", "-m", "not root", *(f"tests/{name}" for name in TESTS),
    )  # fmt: skip

    assert built.returncode == 0, built.stderr
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr
    passed = re.search(r"^(\d+) passed", run.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 2500
    assert 0 not in {path.stat().st_uid for path in scratch.iterdir()}


def download_wheels(directory: Path, version: str) -> Path:
    """What `make env` installs, for a Python of that version, fetched as this machine's pip is configured."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--only-binary=:all:", f"--python-version={version}", f"--dest={directory}"]
    wanted = [f"{REPOSITORY}[dev]", "hatchling", "editables"]
    subprocess.run([*command, *options, *wanted], check=True, timeout=PATIENCE)
    return directory


def call(builder: Builder, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """``lstore``, which may take its time."""
    return subprocess.run(
        builder.command(*arguments),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=builder.environment,
        timeout=PATIENCE,
    )
