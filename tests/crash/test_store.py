"""Whatever the moment at which an operation on the store is killed: nothing is half there, nothing is lost.

After each crash the store is clean, the same operation succeeds, and once what no ref needs is collected
the store is what it would be had nothing happened, down to the last file.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from fixtures.crash.scenarios import SCENARIOS, collect, damages, open_at
from fixtures.crash.zygote import Zygote
from fixtures.store import contents
from layerstore.disk import faults
from layerstore.oci.reference import Reference
from layerstore.store.store import Store

KILLS = int(os.environ.get("LSTORE_TEST_KILLS", "40"))
"""Random moments, over all scenarios. The environment may ask for many more."""
SEED = 20_240_607
_OWN_POINTS = ("publish:", "remove:", "ingest:", "layers:", "commit:", "gc:", "fsck:")


def prepare(scenario: str, root: Path) -> Store:
    store = open_at(str(root))
    SCENARIOS[scenario].prepare(store)
    return store


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> dict[str, set[str]]:
    """What each scenario leaves, collected, when nothing goes wrong."""
    left = {}
    for scenario in SCENARIOS:
        root = tmp_path_factory.mktemp(scenario) / "store"
        store = prepare(scenario, root)
        assert zygote.run(scenario, str(root)) == 0
        collect(store)
        left[scenario] = contents(root)
    return left


def assert_recovers(scenario: str, root: Path, zygote: Zygote, pristine: set[str]) -> None:
    store = open_at(str(root))
    if scenario != "repair":
        assert damages(store) == ()
    assert zygote.run(scenario, str(root)) == 0
    assert damages(store) == ()
    collect(store)
    assert contents(root) == pristine
    assert damages(store) == ()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_named_point_loses_nothing_and_leaves_nothing(
    scenario: str, tmp_path: Path, zygote: Zygote, pristine: dict[str, set[str]]
) -> None:
    prepare(scenario, tmp_path / "fresh")
    shutil.copytree(tmp_path / "fresh", tmp_path / "recorded", symlinks=True)
    reached = zygote.record(scenario, str(tmp_path / "recorded"))
    assert reached

    for position, name in enumerate(reached):
        root = tmp_path / f"crash-{position}"
        shutil.copytree(tmp_path / "fresh", root, symlinks=True)
        reach = reached[: position + 1].count(name)

        assert zygote.run(scenario, str(root), crash_at=name, reach=reach) == -9

        assert_recovers(scenario, root, zygote, pristine[scenario])
        shutil.rmtree(root)


def test_the_scenarios_reach_every_point_that_the_store_names(tmp_path: Path, zygote: Zygote) -> None:
    reached: set[str] = set()
    for scenario in SCENARIOS:
        prepare(scenario, tmp_path / scenario)
        reached.update(zygote.record(scenario, str(tmp_path / scenario)))

    assert {name for name in faults.names() if name.startswith(_OWN_POINTS)} <= reached


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing(
    scenario: str, tmp_path: Path, zygote: Zygote, pristine: dict[str, set[str]]
) -> None:
    moments = random.Random(f"{SEED} {scenario}")
    prepare(scenario, tmp_path / "fresh")

    for position in range(-(-KILLS // len(SCENARIOS))):
        root = tmp_path / f"kill-{position}"
        shutil.copytree(tmp_path / "fresh", root, symlinks=True)

        zygote.kill(scenario, str(root), moments.uniform(0.001, 0.06))

        assert_recovers(scenario, root, zygote, pristine[scenario])
        shutil.rmtree(root)


def test_a_store_whose_making_was_killed_is_made_by_the_next_one(tmp_path: Path, zygote: Zygote) -> None:
    for reach in range(1, 4):
        for name in ("publish: temporary file durable", "publish: renamed, directory not synced"):
            root = tmp_path / f"{name[:12]}-{reach}"

            assert zygote.run("pull", str(root), crash_at=name, reach=reach) == -9
            store = open_at(str(root))
            SCENARIOS["pull"].operate(store)
            collect(store)

            assert damages(store) == ()
            assert store.blobs.resolve(str(Reference.parse("first")))
            assert not [path for path in contents(root) if ".tmp-" in path]
