"""Tasks: bounded, in order, and the first failure stops the rest."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from layerstore.tasks import Cancellation, Cancelled, run_all


class Boom(Exception):
    """What a task fails with."""


def fail(message: str) -> int:
    raise Boom(message)


def test_results_keep_the_order_of_the_calls() -> None:
    late = threading.Event()

    def first() -> int:
        late.wait(30)
        return 1

    def second() -> int:
        late.set()
        return 2

    assert run_all([first, second], limit=2) == [1, 2]


@pytest.mark.parametrize("limit", [0, 1, 4])
def test_nothing_to_do_and_one_thing_to_do_are_done(limit: int) -> None:
    assert run_all([], limit=limit) == []
    assert run_all([lambda: 7], limit=limit) == [7]


def test_no_more_than_the_limit_are_under_way_at_once() -> None:
    meeting = threading.Barrier(2)
    lock = threading.Lock()
    running = 0
    most = 0

    def task() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        meeting.wait(30)
        with lock:
            running -= 1

    run_all([task] * 8, limit=2)

    assert most == 2


@pytest.mark.parametrize("limit", [1, 2])
def test_after_a_failure_no_other_call_starts(limit: int) -> None:
    started: list[int] = []
    calls: list[Callable[[], object]] = [partial(fail, "first")]
    calls += [partial(started.append, number) for number in range(100)]
    if limit == 2:
        held = threading.Event()
        cancellation = Cancellation()

        def hold_the_other_thread() -> None:
            while not cancellation.is_set:
                held.wait(0.001)

        calls.insert(0, hold_the_other_thread)
        with pytest.raises(Boom):
            run_all(calls, limit=2, cancellation=cancellation)
    else:
        with pytest.raises(Boom):
            run_all(calls, limit=1)

    assert started == []


def test_a_failure_asks_the_running_siblings_to_stop() -> None:
    cancellation = Cancellation()
    stopped = threading.Event()
    ready = threading.Event()

    def endless() -> None:
        ready.set()
        try:
            while True:
                cancellation.check()
        finally:
            stopped.set()

    def failing() -> None:
        ready.wait(30)
        raise Boom("mine")

    with pytest.raises(Boom, match="mine"):
        run_all([endless, failing], limit=2, cancellation=cancellation)

    assert stopped.is_set()


def test_after_a_cancellation_from_outside_no_call_starts() -> None:
    started: list[int] = []
    cancellation = Cancellation()
    cancellation.cancel()

    with pytest.raises(Cancelled):
        run_all([partial(started.append, each) for each in range(9)], limit=2, cancellation=cancellation)

    assert started == []


def test_an_interrupt_stops_what_is_under_way() -> None:
    cancellation = Cancellation()
    stopped: list[str] = []
    meeting = threading.Barrier(2)

    def endless(name: str) -> None:
        if meeting.wait(30) == 0:
            os.kill(os.getpid(), signal.SIGINT)
        while not cancellation.is_set:
            pass
        stopped.append(name)

    tracer = sys.gettrace()
    sys.settrace(None)  # an interrupt inside coverage's own code would leave its lock held for good
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all([partial(endless, each) for each in "ab"], limit=2, cancellation=cancellation)
    finally:
        sys.settrace(tracer)

    assert sorted(stopped) == ["a", "b"]


def test_tasks_cost_no_import_of_logging() -> None:
    code = "import sys, layerstore.tasks; print(sorted({'logging', 'concurrent.futures'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_cancelled_slips_through_handlers_of_exceptions() -> None:
    assert not issubclass(Cancelled, Exception)


def test_nothing_outlives_the_block() -> None:
    with pytest.raises(Boom):
        run_all([partial(fail, "a"), partial(fail, "b"), partial(fail, "c")], limit=3)

    assert [thread for thread in threading.enumerate() if thread.name.startswith("lstore")] == []


def test_a_pause_ends_when_a_sibling_fails() -> None:
    cancellation = Cancellation()
    cancellation.pause(0)

    cancellation.cancel()

    with pytest.raises(Cancelled):
        cancellation.pause(3600)
