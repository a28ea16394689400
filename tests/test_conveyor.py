import threading

import pytest

from layerstore.tasks import Conveyor


def test_items_are_taken_in_order_by_another_thread() -> None:
    taken: list[tuple[int, int]] = []
    conveyor: Conveyor[int] = Conveyor(lambda item: taken.append((item, threading.get_ident())), depth=2)

    for item in range(100):
        conveyor.put(item)
    conveyor.close()

    assert [item for item, _ in taken] == list(range(100))
    assert {thread for _, thread in taken}.isdisjoint({threading.get_ident()})


def test_the_taker_s_failure_reaches_the_caller_and_ends_the_thread() -> None:
    def take(item: int) -> None:
        raise ValueError(item)

    threads = threading.active_count()
    conveyor: Conveyor[int] = Conveyor(take, depth=1)
    conveyor.put(1)

    with pytest.raises(ValueError, match="1"):
        conveyor.close()

    assert threading.active_count() == threads


def test_abandoning_ends_the_thread_and_may_be_repeated() -> None:
    threads = threading.active_count()
    conveyor: Conveyor[int] = Conveyor(lambda item: None, depth=5)
    conveyor.put(1)

    conveyor.abandon()
    conveyor.abandon()

    assert threading.active_count() == threads
