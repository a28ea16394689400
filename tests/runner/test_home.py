"""A container's directory: who changes it, and who is there."""

import time
from pathlib import Path

import pytest

from layerstore.disk import locks, publish
from layerstore.errors import NotFound
from runner.container import CREATING, ContainerConfig, ContainerState
from runner.home import Home
from runner.spec import ProcessSpec


def test_a_monitor_that_hung_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(str(tmp_path), "f" * 64)
    home.make().close()
    monitor = locks.open_lock(home.file("monitor"))
    monitor.exclusive()
    monkeypatch.setattr(time, "sleep", lambda _seconds: monitor.close())

    home.await_end_of_monitor()

    assert not home.is_monitored()


def test_a_monitor_that_lives_on_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(str(tmp_path), "f" * 64)
    home.make().close()
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with locks.exclusive(home.file("monitor")):
        home.await_end_of_monitor()

        assert home.is_monitored()


def test_only_a_directory_without_a_state_is_stillborn(tmp_path: Path) -> None:
    home = Home(str(tmp_path), "f" * 64)
    assert not home.is_stillborn()

    home.make().close()
    assert not home.is_stillborn()

    Path(home.file("state")).unlink()
    assert home.is_stillborn()


def test_only_what_is_removed_at_its_end_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(publish, "sync_directory", synced.append)
    passing, lasting = (
        ContainerConfig("f" * 64, "b", 0, "i", "", (), ProcessSpec(("true",)), is_removed_at_end=is_passing)
        for is_passing in (True, False)
    )
    home = Home(str(tmp_path), passing.id)

    home.make().close()
    home.write_config(passing)
    home.write_state(ContainerState(), is_durable=False)
    assert synced == []

    home.write_config(lasting)
    home.write_state(ContainerState())
    assert synced == [home.path, home.path]


def test_a_state_that_is_on_the_disk_is_not_seen_until_it_is_published(tmp_path: Path) -> None:
    home = Home(str(tmp_path), "f" * 64)
    home.make().close()
    running = ContainerState("running", pid=1)

    staged = home.stage_state(running)
    assert home.state() == CREATING

    home.publish_state(staged)
    assert home.state() == running
    assert not Path(staged).exists()


def test_a_lock_of_what_is_gone_is_refused(tmp_path: Path) -> None:
    home = Home(str(tmp_path), "f" * 64)

    with pytest.raises(NotFound, match="no such container"):
        home.lock()
