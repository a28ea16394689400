"""What every test may use: the embedded registry, the busybox image; and what tests marked so need.

A test marked ``root`` or ``package(name)`` is skipped where that is missing, and fails there in CI, which
promises to have it all.
"""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fixtures.images.busybox import busybox_layout as make_busybox_layout
from fixtures.images.debian import PackageUnavailable
from fixtures.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An embedded registry without authentication, empty, running."""
    with Registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture(scope="session")
def busybox_layout() -> Path:
    """The busybox image as an OCI layout directory, shared by all workers and runs: read only."""
    try:
        return make_busybox_layout()
    except PackageUnavailable as error:
        _give_up(str(error))


def pytest_configure() -> None:
    """A shell without job control has its background jobs ignore ^C, and what they start inherits that. signal(7)"""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail what cannot run here."""
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        _give_up("needs uid 0")
    for marker in item.iter_markers("package"):
        if not is_installed(marker.args[0]):
            _give_up(f"needs the Debian package {marker.args[0]}")


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def is_installed(package: str) -> bool:
    """Whether a Debian package is; where there is no dpkg, whether a program of that name is."""
    if shutil.which("dpkg-query") is None:
        return shutil.which(package) is not None
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
