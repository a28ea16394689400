"""Directories of steps whose process is gone: found, and nobody else's while they are removed."""

from pathlib import Path

import pytest

from layerstore.build.cache import BuildCache
from layerstore.disk.locks import open_lock
from layerstore.store.layout import Layout


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    layout = Layout(str(tmp_path / "store"))
    layout.create()
    made = BuildCache(layout)
    Path(made.steps).mkdir(parents=True, exist_ok=True)
    return made


def test_only_the_steps_that_nobody_works_on_are_abandoned(cache: BuildCache) -> None:
    for name in ("at-work", "killed", "killed-before-it-had-a-lock"):
        Path(cache.steps, name).mkdir()
    Path(cache.steps, "killed", "lock").touch()
    working = open_lock(f"{cache.steps}/at-work/lock")
    working.exclusive()

    found = [Path(path).name for path in cache.abandoned_steps()]

    assert found == ["killed", "killed-before-it-had-a-lock"]
    working.close()


def test_nobody_takes_a_step_while_it_is_swept_away(cache: BuildCache) -> None:
    Path(cache.steps, "made-just-now").mkdir()

    for path in cache.abandoned_steps():
        late = open_lock(f"{path}/lock")  # whoever made it comes to its lock only now
        assert not late.try_exclusive()
        late.close()

    assert open_lock(f"{path}/lock").try_exclusive()
