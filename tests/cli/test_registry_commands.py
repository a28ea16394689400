"""The commands that speak with a registry, against the embedded one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ARM64, ImageBuilder, layer
from fixtures.registry import Registry
from fixtures.registry.auth import Account, Basic

HELLO = layer([file("hello", b"world")])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Registry]:
    """A registry that knows one user, with the password secret."""
    with Registry(tmp_path / "guarded", auth=Basic(Account("user", "secret"))) as running:
        yield running


@pytest.fixture
def pushed(lstore, registry: Registry, tmp_path: Path) -> str:
    """The name of an image that is in the registry, and in the store no more."""
    name = f"{registry.address}/team/hello:1"
    builder = ImageBuilder()
    builder.add_image([HELLO], tag="hello")
    lstore("load", "-i", str(builder.write(tmp_path / "layout")))
    lstore("tag", "hello", name)
    assert lstore("push", "-q", name).out.startswith("sha256:")
    lstore("rmi", "hello", name)
    return name


def test_a_pull_tells_digest_and_status(lstore, pushed: str) -> None:
    first = lstore("pull", pushed)
    second = lstore("pull", pushed)

    digest, status, name = first.out.splitlines()
    assert digest.startswith("Digest: sha256:")
    assert (status, name) == (f"Status: Downloaded newer image for {pushed}", pushed)
    assert second.out.splitlines()[1] == f"Status: Image is up to date for {pushed}"


def test_a_quiet_pull_tells_the_digest_alone(lstore, pushed: str) -> None:
    result = lstore("pull", "-q", pushed)

    digest = lstore("images", "--digests", "--format", "{{.Digest}}").out
    assert (result.out, result.err) == (digest, "")


def test_a_pulled_image_knows_its_digest_in_the_registry(lstore, pushed: str) -> None:
    digest = lstore("pull", pushed).out.splitlines()[0].removeprefix("Digest: ")
    repository = pushed.rpartition(":")[0]

    assert lstore("images", "--digests", "--format", "{{.Digest}}").out == f"{digest}\n"
    assert json.loads(lstore("inspect", pushed).out)[0]["RepoDigests"] == [f"{repository}@{digest}"]
    assert lstore("pull", "-q", f"{repository}@{digest}").status == 0


def test_every_tag_of_a_repository_can_be_pulled_and_pushed(lstore, pushed: str) -> None:
    repository = pushed.rpartition(":")[0]
    lstore("pull", pushed)
    lstore("tag", pushed, f"{repository}:2")

    sent = lstore("push", "--all-tags", repository)
    lstore("rmi", pushed, f"{repository}:2")
    taken = lstore("pull", "-aq", repository)

    assert [line.partition(":")[0] for line in sent.out.splitlines()] == ["1", "2"]
    assert len(taken.out.splitlines()) == 2
    assert sorted(lstore("images", "--format", "{{.Tag}}").out.split()) == ["1", "2"]


def test_the_other_platform_comes_when_asked(lstore, registry: Registry, tmp_path: Path) -> None:
    builder = ImageBuilder()
    inner = [builder.add_image([HELLO]), builder.add_image([HELLO], platform=ARM64)]
    name = f"{registry.address}/both:1"
    builder.add_index(inner, tag=name)
    lstore("load", "-i", str(builder.write(tmp_path / "layout")))
    lstore("push", name)
    lstore("rmi", name)

    arm = lstore("pull", "-q", "--platform", "linux/arm64", name)
    assert lstore("images", "--format", "{{.Platform}}").out == "linux/arm64\n"
    lstore("pull", "-q", name)
    missing = lstore("pull", "--platform", "linux/s390x", name)

    assert arm.status == 0
    assert set(lstore("images", "--format", "{{.Platform}}").out.split()) == {"linux/amd64", "linux/arm64"}
    assert missing.status == 1
    assert "s390x" in missing.err


@pytest.mark.parametrize(
    "arguments", [["--platform", "linux/arm64", "--all-platforms"], ["--platform", "a/b/c/d"]]
)
def test_a_pull_that_makes_no_sense_is_refused(lstore, arguments: list[str]) -> None:
    result = lstore("pull", *arguments, "debian")

    assert result.status in (1, 125)
    assert result.err.startswith("lstore: ")


def test_what_the_registry_lacks_is_one_line(lstore, registry: Registry) -> None:
    result = lstore("pull", "-q", f"{registry.address}/team/nothing")

    assert result.status == 1
    assert result.out == ""
    assert len(result.err.splitlines()) <= 2
    assert "team/nothing" in result.err


def test_a_login_is_checked_kept_and_forgotten(lstore, guarded: Registry, tmp_path: Path) -> None:
    wrong = lstore("login", "-u", "user", "--password-stdin", guarded.address, stdin=b"wrong\n")
    right = lstore("login", "-u", "user", "--password-stdin", guarded.address, stdin=b"secret\n")
    kept = json.loads((tmp_path / ".docker/config.json").read_text())
    out = lstore("logout", guarded.address)
    again = lstore("logout", guarded.address)

    assert wrong.status == 1
    assert "secret" not in wrong.err + right.err
    assert right.out == "Login Succeeded\n"
    assert list(kept["auths"]) == [guarded.address]
    assert out.out == f"Removing login credentials for {guarded.address}\n"
    assert again.out == f"Not logged in to {guarded.address}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["host:5000"], "standard input is no terminal"),
        (["--password-stdin", "host:5000"], "needs --username"),
        (["-u", "x", "-p", "y", "--password-stdin", "host:5000"], "contradict"),
        (["-u", "x", "-p", "", "host:5000"], "are needed"),
        (["-u", "x", "-p", "y", "nohost"], "names no registry"),
        (["-u", "x", "-p", "y", "a b"], "names no registry"),
    ],
)
def test_a_login_without_what_it_needs_is_refused(lstore, arguments: list[str], message: str) -> None:
    result = lstore("login", *arguments)

    assert result.status == 125
    assert message in result.err


def test_search_finds_in_a_catalogue(lstore, pushed: str) -> None:
    registry = pushed.partition("/")[0]

    assert lstore("search", "--format", "{{.Name}}", f"{registry}/hel").out == "team/hello\n"
    assert lstore("search", f"{registry}/none").out == "NAME      DESCRIPTION   STARS     OFFICIAL\n"
    assert lstore("search", "--filter", "stars=11", "--format", "{{.Name}}", f"{registry}/hel").out == ""
    assert lstore("search", "--filter", "colour=red", f"{registry}/hel").status == 125
