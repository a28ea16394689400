"""Bad input of every kind: one line that says what failed on what, a hint, a status; nothing lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ARM64, ImageBuilder, layer
from fixtures.registry import Registry
from fixtures.registry.auth import Account, Basic
from fixtures.registry.tokens import Bearer

HELLO = layer([file("hello", b"world")])


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """A registry that lets nobody in but one user."""
    account = Account("user", "secret")
    policy = Basic(account) if request.param == "basic" else Bearer(account)
    with Registry(tmp_path / "guarded", auth=policy) as running:
        yield running


@pytest.fixture
def kept(lstore, tmp_path: Path):
    """The command line over a store with one image, which no failure may touch."""
    builder = ImageBuilder()
    builder.add_image([HELLO], tag="kept")
    lstore("load", "-q", "-i", str(builder.write(tmp_path / "kept")))
    yield lstore
    assert lstore("images", "--format", "{{.Repository}}").out == "kept\n"
    assert lstore("fsck", "-q").out == "The store is clean\n"


def assert_one_line(err: str, *words: str) -> None:
    first, *rest = err.splitlines()
    assert first.startswith("lstore: ")
    for word in words:
        assert word in first
    assert "bug" not in first
    assert len(rest) <= 1
    assert all(line.startswith("  try: ") for line in rest)


def test_nobody_is_let_in(kept, guarded: Registry) -> None:
    result = kept("pull", "-q", f"{guarded.address}/private/image")

    assert result.status == 1
    assert_one_line(result.err, guarded.address)
    assert result.err.splitlines()[1] == f"  try: lstore login {guarded.address}"


ARCHIVES = {
    "empty": b"",
    "text": b"this is no archive\n" * 100,
    "cut gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc",
    "zeros": bytes(10240),
    "xz": b"\xfd7zXZ\0\0\0",
}


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_what_is_no_archive_is_not_loaded(kept, tmp_path: Path, data: bytes) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(data)

    result = kept("load", "-q", "-i", str(archive))

    assert result.status == 1
    assert_one_line(result.err, str(archive))


def test_what_is_not_there_is_not_loaded(kept) -> None:
    result = kept("load", "-q", "-i", "/does/not/exist")

    assert result.status == 1
    assert_one_line(result.err, "/does/not/exist")


@pytest.mark.parametrize("text", ["[registry", '[registries."a"]\nhttp = true', '[registry."a"]\nhttp = 1'])
def test_a_configuration_with_a_mistake_is_named(kept, tmp_path: Path, text: str) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text(text)

    result = kept("--config", str(configuration), "pull", "-q", "localhost:1/x")

    assert result.status == 125
    assert_one_line(result.err, f"cannot use the configuration {configuration}: ")


UNNEEDED = [["images"], ["ps"], ["system", "df"], ["run", "busybox", "true"], ["rmi", "x"], ["logs", "x"]]


@pytest.mark.parametrize("arguments", UNNEEDED, ids=lambda words: words[0])
def test_a_wrong_configuration_or_driver_is_refused_by_who_needs_none(
    kept, tmp_path: Path, arguments: list[str]
) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text("[registry")

    broken = kept("--config", str(configuration), *arguments)
    missing = kept("--config", str(tmp_path / "none.toml"), *arguments)
    driver = kept("--driver", "foo", *arguments)

    assert [broken.status, missing.status, driver.status] == [125] * 3
    assert_one_line(broken.err, f"cannot use the configuration {configuration}: ")
    assert_one_line(
        missing.err, f"cannot read the configuration {tmp_path}/none.toml: no such file or directory"
    )
    assert_one_line(driver.err, "there is no driver 'foo', only erofs and directory")


def test_a_right_configuration_and_driver_change_nothing(kept, tmp_path: Path) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text('[registry."localhost:1"]\nhttp = true\n')

    result = kept("--config", str(configuration), "--driver", "directory", "images", "-q")

    assert (result.status, result.err) == (0, "")


def test_reading_the_configuration_imports_nothing_of_the_network() -> None:
    code = (
        "import sys; from lstore.engine import configuration; configuration.read_settings(None, {});"
        "assert not {'requests', 'urllib3', 'ssl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_layer_with_another_digest_is_refused(kept, tmp_path: Path) -> None:
    builder = ImageBuilder()
    builder.add_image([layer([file("other")])], tag="kept")
    layout = builder.write(tmp_path / "broken")
    for blob in (layout / "blobs/sha256").iterdir():
        blob.write_bytes(bytes(reversed(blob.read_bytes())))

    result = kept("load", "-q", "-i", str(layout))

    assert result.status == 1
    assert_one_line(result.err, "sha256:")


def test_an_image_for_another_platform_is_not_pulled(kept, registry: Registry, tmp_path: Path) -> None:
    builder = ImageBuilder()
    name = f"{registry.address}/arm:1"
    builder.add_index([builder.add_image([HELLO], platform=ARM64)], tag="arm")
    layout = builder.write(tmp_path / "arm")
    kept("copy", "-q", "--all-platforms", f"oci:{layout}:arm", f"docker://{name}")

    result = kept("pull", "-q", "--platform", "linux/s390x", name)

    assert result.status == 1
    assert_one_line(result.err, "linux/s390x", "linux/arm64")


@pytest.mark.parametrize(
    "name", ["UPPER", "a b", "x" * 300, "a@sha256:12", "-x", "../x", ":tag", "a:" + "t" * 200]
)
@pytest.mark.parametrize("command", ["pull", "rmi", "inspect"])
def test_what_is_no_name_is_refused(kept, command: str, name: str) -> None:
    result = kept(command, name)

    assert result.status in (1, 125)
    assert_one_line(result.err)


@pytest.mark.root
def test_a_full_disk_is_told_and_gives_its_space_back(busybox_layout: Path, tmp_path: Path) -> None:
    store = tmp_path / "full"
    store.mkdir()
    lstore = f"{sys.executable} -m lstore --root {store}"
    script = (
        f"mount -t tmpfs -o size=700k none {store} || exit 99\n"
        f"{lstore} load -q -i {busybox_layout}; echo $?; {lstore} fsck -q; {lstore} images -q | wc -l"
    )

    result = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script], capture_output=True, text=True, check=False
    )

    assert result.stdout.splitlines() == ["1", "The store is clean", "0"]
    assert_one_line(result.stderr, "no space left on device")
    assert result.stderr.splitlines()[1] == "  try: lstore system df; lstore system prune"
