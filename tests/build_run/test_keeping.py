"""What builds keep is bounded: the least recently used goes, nothing that is in use does."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.builds import Builder
from layerstore.build.mount import Mount
from layerstore.disk.locks import open_lock
from lstore.engine.build.mount_sources import MountSources
from lstore.engine.build.request import Surroundings

pytestmark = pytest.mark.root

FILL = "FROM busybox\nRUN --mount=type=cache,id={0},target=/c dd if=/dev/zero of=/c/{0} bs=1M count={1} && echo {2}"
PATIENCE = 60


def fill(builder: Builder, name: str, megabytes: int = 3, *, again: str = "") -> None:
    """Write so much to the cache mount of that name; another `again` makes it another step."""
    builder.image(FILL.format(name, megabytes, again))


def files(builder: Builder) -> list[str]:
    """The files that cache mounts hold."""
    return sorted(path.name for path in (builder.root / "build-cache" / "mounts").glob("*/data/*"))


@contextmanager
def bounded(builder: Builder, size: str) -> Iterator[None]:
    """Let builds keep no more than that."""
    builder.variables["LSTORE_BUILD_KEEP_STORAGE"] = size
    yield
    del builder.variables["LSTORE_BUILD_KEEP_STORAGE"]


def test_the_cache_mount_that_was_used_longest_ago_goes(lonely_builder: Builder) -> None:
    with bounded(lonely_builder, "8MB"):
        for name in ("a", "b"):
            fill(lonely_builder, name)
        assert files(lonely_builder) == ["a", "b"]
        lonely_builder.image("FROM busybox\nRUN --mount=type=cache,id=a,target=/c test -e /c/a")

        fill(lonely_builder, "c")

    assert files(lonely_builder) == ["a", "c"]


def test_a_cache_mount_that_grows_is_measured_anew(lonely_builder: Builder) -> None:
    with bounded(lonely_builder, "8MB"):
        fill(lonely_builder, "a")
        fill(lonely_builder, "b")

        fill(lonely_builder, "b", 6)

    assert files(lonely_builder) == ["b"]


def test_a_cache_mount_in_use_stays_and_another_goes(lonely_builder: Builder) -> None:
    wait = (
        "FROM busybox\nRUN --mount=type=cache,id=used,target=/c dd if=/dev/zero of=/c/used bs=1M count=9 \\\n"
    )
    wait += " && touch /c/started && until test -e /c/go; do sleep 0.02; done && test -e /c/used"
    command = lonely_builder.command("build", str(lonely_builder.context(wait)))
    with subprocess.Popen(
        command, env=lonely_builder.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while "started" not in files(lonely_builder):
                assert time.monotonic() < deadline
                os.sched_yield()
            with bounded(lonely_builder, "2MB"):
                fill(lonely_builder, "later")
            left = files(lonely_builder)
            (used,) = (lonely_builder.root / "build-cache" / "mounts").glob("*/data")
            (used / "go").touch()
            process.wait(PATIENCE)
        finally:
            process.kill()

    assert left == ["started", "used"]
    assert process.returncode == 0


def test_a_step_that_no_image_has_goes_and_one_that_an_image_has_does_not_count(
    lonely_builder: Builder,
) -> None:
    step = "FROM busybox\nRUN dd if=/dev/zero of=/{0} bs=1M count=3"
    kept, lost = (lonely_builder.context(step.format(name)) for name in ("kept", "lost"))
    lonely_builder.build(kept, "-t", "kept")
    lonely_builder.build(lost, "-t", "lost")
    lonely_builder.call("rmi", "lost").check_returncode()

    with bounded(lonely_builder, "4MB"):
        fill(lonely_builder, "a", 2)

    assert lonely_builder.build(kept, quiet=False).step("RUN") == "CACHED"
    assert lonely_builder.build(lost, quiet=False).step("RUN") == "DONE"


def test_a_prune_that_dies_leaves_nothing_that_the_next_one_does_not_take(lonely_builder: Builder) -> None:
    fill(lonely_builder, "a")
    lonely_builder.variables["LSTORE_CRASH_AT"] = "remove: set aside"
    died = lonely_builder.call("builder", "prune", "-af")
    lonely_builder.variables.clear()
    mounts = lonely_builder.root / "build-cache" / "mounts"
    assert (died.returncode, len(list(mounts.iterdir()))) == (-signal.SIGKILL, 1)

    listed = lonely_builder.call("builder", "du", "--format", "{{.Type}}").stdout
    lonely_builder.call("builder", "prune", "-f").check_returncode()

    assert "cachemount" not in listed
    assert list(mounts.iterdir()) == []


def test_what_is_kept_can_be_seen_on_a_read_only_disk(lonely_builder: Builder) -> None:
    fill(lonely_builder, "a")
    (size,) = (lonely_builder.root / "build-cache" / "mounts").glob("*/size")
    size.unlink()
    store = lonely_builder.root
    command = lonely_builder.command("builder", "du", "--format", "{{.Type}} {{.Size}}")
    bind = f'mount --bind {store} {store} && mount -o remount,ro,bind {store} && exec "$@"'

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", bind, "sh", *command],
        env=lonely_builder.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "exec.cachemount 3.1" in done.stdout, done.stderr


class Pauses:
    """A `Cancellation` that has `release` called after so many pauses."""

    def __init__(self, count: int, lock: object) -> None:
        self.left = count
        self.lock = lock
        self.descriptors: set[int] = set()

    def pause(self, seconds: float) -> None:
        self.descriptors.add(len(os.listdir("/proc/self/fd")))
        self.left -= 1
        if not self.left:
            self.lock.close()


def test_waiting_for_a_cache_takes_no_descriptor_more_each_time(tmp_path: Path) -> None:
    mount = Mount("cache", target="/c", sharing="locked")
    site = SimpleNamespace(cache=SimpleNamespace(mounts=str(tmp_path / "mounts")))
    sources = MountSources(site, [mount], (), None, Surroundings())
    with sources.held(Pauses(1, SimpleNamespace(close=lambda: None))):
        pass
    (path,) = tmp_path.glob("mounts/*/lock")
    held = open_lock(str(path))
    assert held.try_exclusive()
    pauses = Pauses(50, held)

    with sources.held(pauses):
        pass

    assert (pauses.left, len(pauses.descriptors)) == (0, 1)
