"""Real processes of the command line, killed at every named point and at random moments: what must hold after.

fsck is clean, the same command then succeeds, and after a prune the store is what it would be had nothing
happened, down to the last file.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.crash.commands import (
    COMMANDS,
    Place,
    command_crashing,
    command_in_process,
    command_killed,
    command_recorded,
    is_clean,
    make_place,
    start,
)
from fixtures.registry import Registry
from fixtures.store import contents

KILLS = int(os.environ.get("LSTORE_TEST_KILLS", "200"))
"""Random moments, over all commands."""
SEED = 20_240_608
_ROUNDS = 2
_AT_RANDOM = [name for name in COMMANDS if name != "push"]
"""Those that write for longer than it takes to write a note."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One command, the store that it starts from, and the one that it leaves once that is pruned."""

    arguments: tuple[str, ...]
    fresh: Path
    pristine: set[str]

    def recovers(self, root: Path) -> None:
        """Assert that nothing is lost and nothing left in the store at `root`, where the command was killed."""
        assert is_clean(root)
        assert command_in_process(root, self.arguments) in self._successes
        assert is_clean(root)
        assert command_in_process(root, ("system", "prune", "--force")) == 0
        assert contents(root) == self.pristine
        assert is_clean(root)

    @property
    def _successes(self) -> tuple[int, ...]:
        """An image that was gone before the process died cannot be removed once more."""
        return (0, 1) if self.arguments[0] == "rmi" else (0,)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("place")
    with Registry(directory / "registry") as registry:
        yield make_place(directory / "layout", registry)


@pytest.fixture(scope="module")
def subjects(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    found = {}
    for name, scenario in COMMANDS.items():
        directory = tmp_path_factory.mktemp(name)
        scenario.prepare(place, directory / "fresh")
        arguments = scenario.arguments(place)
        if not (directory / "fresh").exists():
            assert command_in_process(directory / "fresh", ("images",)) == 0
        shutil.copytree(directory / "fresh", directory / "done", symlinks=True)
        assert command_in_process(directory / "done", arguments) == 0
        assert command_in_process(directory / "done", ("system", "prune", "--force")) == 0
        found[name] = Subject(arguments, directory / "fresh", contents(directory / "done"))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_crash_at_any_named_point_loses_nothing_and_leaves_nothing(
    name: str, subjects: dict[str, Subject], tmp_path: Path
) -> None:
    subject = subjects[name]
    shutil.copytree(subject.fresh, tmp_path / "recorded", symlinks=True)
    reached = command_recorded(tmp_path / "recorded", subject.arguments, tmp_path / "log")
    assert reached

    for point in dict.fromkeys(reached):
        for reach in {1, reached.count(point)}:
            root = tmp_path / "crashed"
            shutil.copytree(subject.fresh, root, symlinks=True)

            assert command_crashing(root, subject.arguments, point, reach) == -9, (point, reach)

            subject.recovers(root)
            shutil.rmtree(root)


@pytest.mark.parametrize("round_", range(_ROUNDS))
@pytest.mark.parametrize("name", _AT_RANDOM)
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing(
    name: str, round_: int, subjects: dict[str, Subject], tmp_path: Path
) -> None:
    subject = subjects[name]
    moments = random.Random(f"{SEED} {name} {round_}")
    earliest, latest = measure(subject, tmp_path)

    for _ in range(-(-KILLS // (len(_AT_RANDOM) * _ROUNDS))):
        root = tmp_path / "killed"
        shutil.copytree(subject.fresh, root, symlinks=True)

        command_killed(root, subject.arguments, moments.uniform(earliest, latest))

        subject.recovers(root)
        shutil.rmtree(root)


def measure(subject: Subject, directory: Path) -> tuple[float, float]:
    """Between which moments, in seconds after its start, a kill meets the command at its work.

    Before the first it starts up: run again, where there is nothing left to do, it does little else.
    """
    shutil.copytree(subject.fresh, directory / "measured", symlinks=True)
    moments = [time.monotonic()]
    for _ in range(2):
        start(directory / "measured", subject.arguments).wait()
        moments.append(time.monotonic())
    first, second, third = moments
    return 0.7 * min(third - second, second - first), second - first


def test_eight_processes_that_pull_one_image_download_each_blob_once(place: Place, tmp_path: Path) -> None:
    before = len(place.registry.requests.matching("GET", "/blobs/"))

    pulls = [start(tmp_path / "store", ("pull", place.name("one"))) for _ in range(8)]
    statuses = [process.wait() for process in pulls]

    assert statuses == [0] * 8
    fetched = [entry.path for entry in place.registry.requests.matching("GET", "/blobs/")[before:]]
    assert len(fetched) == len(set(fetched)) == 4  # a configuration and three layers
    assert is_clean(tmp_path / "store")
