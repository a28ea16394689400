"""The command as a process: pipes that close, signals, streams that are not there."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.images.entries import file, make_tar
from fixtures.images.layout import ImageBuilder, layer
from fixtures.images.publish import publish
from fixtures.registry import Fault, Registry, actions
from layerstore.content import CHUNK

COMMAND = [sys.executable, "-m", "lstore"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"LSTORE_ROOT": str(tmp_path / "store"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}


@pytest.mark.parametrize("arguments", [["version"], ["images", "--help"], ["images"]])
def test_a_reader_that_went_away_is_no_noise(environment: dict[str, str], arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    result = subprocess.run(
        [*COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, env=environment, check=False
    )

    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_reader_that_goes_away_amid_more_than_a_buffer_is_no_noise(environment: dict[str, str]) -> None:
    archive = make_tar([file("big", b"x" * (1 << 20))])
    subprocess.run(
        [*COMMAND, "import", "-", "big"], input=archive, env=environment, capture_output=True, check=True
    )
    reader, writer = os.pipe()
    os.close(reader)

    result = subprocess.run(
        [*COMMAND, "cat", "big", "big"], stdout=writer, stderr=subprocess.PIPE, env=environment, check=False
    )

    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Processes that the test starts heed SIGINT: a shell has what it runs in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_work_and_leaves_nothing(
    environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    with subprocess.Popen(
        [*COMMAND, "import", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(bytes(1 << 20))  # it now reads on, and waits for more
        process.stdin.flush()
        assert process.stderr.readline() == b"layer: Reading\n"

        process.send_signal(number)
        rest = process.stderr.read()

    assert process.returncode == status
    assert rest.strip() == b""
    clean = subprocess.run([*COMMAND, "fsck", "-q"], capture_output=True, env=environment, check=False)
    assert clean.stdout == b"The store is clean\n"
    assert os.listdir(Path(environment["LSTORE_ROOT"]) / "ingest") == []


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("left", [1000, 1_000_000])
def test_a_signal_ends_a_pull_that_the_registry_stalls(
    environment: dict[str, str],
    registry: Registry,
    tmp_path: Path,
    number: signal.Signals,
    status: int,
    left: int,
) -> None:
    builder = ImageBuilder()
    builder.add_image([layer([file("big", bytes(4 << 20))], "none")], tag="1")
    publish(builder.write(tmp_path / "layout"), registry.storage, "app")
    size, digest = max((len(data), digest) for digest, data in builder.blobs.items())
    gate = registry.faults.gate()
    registry.faults.add(Fault(actions.Slow(gate), method="GET", path_pattern=str(digest), times=None))
    with subprocess.Popen(
        [*COMMAND, "pull", f"{registry.address}/app:1"], stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        gate.release(size - left)
        kept = Path(environment["LSTORE_ROOT"]) / "ingest" / f"sha256-{digest.encoded}" / "blob"
        whole_chunks = (size - left) // CHUNK * CHUNK
        while not kept.exists() or kept.stat().st_size < whole_chunks:
            with pytest.raises(subprocess.TimeoutExpired):  # it must not end by itself
                process.wait(0.05)
        gate.wait_until_held()

        process.send_signal(number)
        rest = process.stderr.read().decode()  # while the registry holds the body back

    assert process.returncode == status
    assert "trying again" not in rest
    registry.faults.clear()
    again = subprocess.run(
        [*COMMAND, "pull", f"{registry.address}/app:1"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "Resuming" in again.stderr


def test_streams_that_are_closed_are_no_crash(environment: dict[str, str]) -> None:
    closed = ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *COMMAND]

    assert subprocess.run([*closed, "images"], env=environment, check=False).returncode == 0
    assert subprocess.run([*closed, "load"], env=environment, check=False).returncode == 1


def test_a_closed_standard_input_is_an_empty_one(environment: dict[str, str]) -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *COMMAND, "load", "-q"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip

    assert result.returncode == 1
    assert result.stderr.startswith("lstore: ")
    assert "bug" not in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_written(environment: dict[str, str], shell: str) -> None:
    result = subprocess.run(
        [*COMMAND, "completion", shell], capture_output=True, text=True, env=environment, check=True
    )

    assert "_LSTORE_COMPLETE" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    "words", ["lstore rmi mi", "lstore image inspect mi", "lstore --root {root} history m"]
)
def test_names_of_images_are_completed(environment: dict[str, str], tmp_path: Path, words: str) -> None:
    tar = b"\0" * 10240
    subprocess.run([*COMMAND, "import", "-q", "-", "mine:1"], input=tar, env=environment, check=True)
    root = environment["LSTORE_ROOT"]
    line = words.format(root=root)
    if root in line:
        environment["LSTORE_ROOT"] = str(tmp_path / "other")
    asked = {"_LSTORE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}

    result = subprocess.run(COMMAND, capture_output=True, text=True, env=environment | asked, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (0, "plain,mine:1\n", "")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("words", [["images"], ["info"], ["inspect", "nothing"]])
def test_an_output_on_a_full_disk_is_told_as_that(environment: dict[str, str], words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "lstore: cannot write the output: no space left on device"


def test_a_directory_that_is_gone_is_named_as_the_trouble(
    environment: dict[str, str], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    command = f"cd {place} && rmdir {place} && exec {shlex.join(COMMAND)} --root relative images"

    result = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env=environment, check=False
    )

    assert result.returncode == 1
    assert result.stderr == "lstore: cannot tell which directory this is: it was removed\n  try: cd /\n"


def test_disk_usage_is_what_du_says(environment: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-cf", archive, "-C", str(Path(__file__).parent), "."], check=True)
    subprocess.run([*COMMAND, "import", "-q", str(archive), "tests"], env=environment, check=True)

    shown = subprocess.run(
        [*COMMAND, "system", "df", "--format", "{{.Bytes}}"],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip

    whole = subprocess.run(
        ["du", "-s", "-B1", environment["LSTORE_ROOT"]], capture_output=True, text=True, check=True
    )
    assert sum(map(int, shown.stdout.split())) == int(whole.stdout.split()[0])
