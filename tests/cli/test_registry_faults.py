"""A registry that fails while an image is pulled: the image comes all the same, or one line says why it does not."""

from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, layer
from fixtures.images.publish import publish
from fixtures.registry import Account, Bearer, Fault, Registry, actions
from fixtures.registry.faults import Action, Throttle

TEXT = "".join(f"{number}\n" for number in range(50_000))
LAYER = layer([file("text", TEXT.encode())], "none")
BLOBS, MANIFESTS = "/blobs/sha256:", "/manifests/"


@pytest.fixture
def name(registry: Registry, tmp_path: Path) -> str:
    """The name of an image that is in the registry alone."""
    builder = ImageBuilder()
    builder.add_image([LAYER], tag="1")
    publish(builder.write(tmp_path / "layout"), registry.storage, "app")
    return f"{registry.address}/app:1"


@pytest.fixture
def kept(lstore, tmp_path: Path):
    """The command line over a store with another image."""
    builder = ImageBuilder()
    builder.add_image([layer([file("kept")])], tag="kept")
    lstore("load", "-q", "-i", str(builder.write(tmp_path / "kept")))
    return lstore


def names(lstore) -> list[str]:
    return sorted(lstore("images", "--format", "{{.Repository}}").out.split())


PASSING: dict[str, tuple[Action, str]] = {
    "too many requests": (actions.too_many_requests(0), BLOBS),
    "unavailable": (actions.Status(503), BLOBS),
    "truncated": (actions.Truncate(100_000), BLOBS),
    "reset": (actions.Truncate(100_000, is_reset=True), BLOBS),
    "no answer": (actions.Disconnect(), BLOBS),
    "manifest cut": (actions.Truncate(10), MANIFESTS),
    "no length": (actions.WithoutLength(), BLOBS),
    "slow": (actions.Slow(Throttle(3_000_000)), BLOBS),
}


@pytest.mark.parametrize("fault", PASSING)
def test_an_image_comes_through_what_passes(kept, registry: Registry, name: str, fault: str) -> None:
    action, pattern = PASSING[fault]
    registry.faults.add(Fault(action, method="GET", path_pattern=pattern, times=1))

    result = kept("pull", "-q", name)

    assert (result.status, result.err) == (0, "")
    assert kept("cat", name, "/text").out == TEXT
    assert kept("fsck", "-q").out == "The store is clean\n"


def test_a_broken_download_goes_on_at_a_registry_without_ranges(kept, registry: Registry, name: str) -> None:
    registry.faults.add(Fault(actions.ReplaceRange(), method="GET", path_pattern=BLOBS, times=None))
    registry.faults.add(Fault(actions.Truncate(100_000), method="GET", path_pattern=BLOBS, times=1))

    assert kept("pull", "-q", name).status == 0
    assert kept("fsck", "-q").out == "The store is clean\n"


def test_a_blob_comes_from_another_host(kept, registry: Registry, name: str, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry") as elsewhere:
        redirect = actions.Redirect(elsewhere.url)
        registry.faults.add(Fault(redirect, method="GET", path_pattern=BLOBS, times=None))

        assert kept("pull", "-q", name).status == 0
        assert len(elsewhere.requests) > 0


def test_a_token_that_ends_midway_is_asked_for_again(kept, tmp_path: Path, name: str) -> None:
    auth = Bearer(Account("user", "secret"))
    with Registry(tmp_path / "registry", auth=auth) as guarded:
        kept("login", "-u", "user", "--password-stdin", guarded.address, stdin=b"secret")
        before = guarded.requests.count("GET", "^/token")
        ending = actions.Before(auth.expire_tokens)
        guarded.faults.add(Fault(ending, method="GET", path_pattern=BLOBS, times=1))

        result = kept("pull", "-q", f"{guarded.address}/app:1")

        assert (result.status, result.err) == (0, "")
        assert guarded.requests.count("GET", "^/token") >= before + 2


LASTING: dict[str, tuple[Action, str, str]] = {
    "wrong digest": (actions.Corrupt(1000), BLOBS, "sha256:"),
    "wrong size": (actions.WrongLength(7), BLOBS, "sha256:"),
    "endless": (actions.Oversize(400_000), BLOBS, "sha256:"),
    "wrong manifest": (actions.Corrupt(1), MANIFESTS, "app"),
    "a web page": (actions.ReplaceBody(b"<html>"), MANIFESTS, "app"),
    "forbidden": (actions.Status(403), BLOBS, "access denied"),
    "gone": (actions.Status(404), BLOBS, "not found"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_does_not_pass_is_one_line_and_changes_nothing(
    kept, registry: Registry, name: str, fault: str
) -> None:
    action, pattern, word = LASTING[fault]
    registry.faults.add(Fault(action, method="GET", path_pattern=pattern, times=None))

    result = kept("pull", "-q", name)

    first, *rest = result.err.splitlines()
    assert result.status == 1
    assert first.startswith("lstore: ")
    assert word in first
    assert all(line.startswith("  try: ") for line in rest)
    assert names(kept) == ["kept"]
    assert kept("fsck", "-q").out == "The store is clean\n"
    registry.faults.clear()
    assert kept("pull", "-q", name).status == 0
