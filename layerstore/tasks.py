"""The one place where threads start: bounded, the first failure cancels, nothing outlives the block.

A task that may run long takes the `Cancellation` and asks it between chunks, so that a failure of one
layer stops the others within a chunk's time.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_AGAIN = 0.5
"""Seconds after which an interrupt is seen that came just before a wait: Python would see it after the wait."""


class Cancelled(BaseException):
    """A sibling task failed; this one stops. Not an error of its own, so never an ``Exception``."""


class Cancellation:
    """A flag that sibling tasks share."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._breaks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Ask every sibling to stop. Idempotent."""
        self._event.set()
        for break_off in tuple(self._breaks):
            break_off()

    def breaks(self, break_off: Callable[[], None]) -> None:
        """Have `cancel` call `break_off`, which ends waits that cannot look at the flag; it may come often."""
        self._breaks.append(break_off)

    @property
    def is_set(self) -> bool:
        """Whether a sibling failed."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Cancelled` if a sibling failed."""
        if self._event.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        """Wait so long before another try. Raises `Cancelled` as soon as a sibling failed."""
        if self._event.wait(seconds):
            raise Cancelled


def run_all(
    calls: Sequence[Callable[[], T]] | Iterable[Callable[[], T]],
    *,
    limit: int,
    cancellation: Cancellation | None = None,
) -> list[T]:
    """The results of `calls` in their order, at most `limit` of them under way at once.

    Raises the first failure once every started call has ended; calls not yet started never start.
    """
    pending = list(calls)
    if len(pending) <= 1 or limit <= 1:
        return [call() for call in pending]
    crew = _Crew(pending, min(limit, len(pending)), cancellation or Cancellation())
    threads = [threading.Thread(target=crew.work, name="lstore") for _ in range(crew.size)]
    try:
        for thread in threads:
            thread.start()
        crew.wait()
    except BaseException:
        crew.cancellation.cancel()  # a thread that does not run yet will see it before its first call
        raise
    finally:
        for thread in threads:
            if thread.is_alive():
                thread.join()
    return crew.results()


class _Crew(Generic[T]):
    """`size` threads that take one of the `calls` after the other.

    ``concurrent.futures`` does this too, and costs every command an import of 5 ms.
    """

    def __init__(self, calls: Sequence[Callable[[], T]], size: int, cancellation: Cancellation) -> None:
        self.cancellation = cancellation
        self.size = size
        self._ended = threading.Event()
        self._busy = size
        self._calls = calls
        self._waiting = iter(enumerate(calls))
        self._lock = threading.Lock()
        self._results: dict[int, T] = {}
        self._failures: dict[int, BaseException] = {}

    def work(self) -> None:
        """What each thread does, until no call is left or one has failed."""
        self._take_calls()
        with self._lock:
            self._busy -= 1
            if not self._busy:
                self._ended.set()

    def wait(self) -> None:
        """Return once all threads have ended. (`join` of Python 3.11 returns too early once it was interrupted.)"""
        while not self._ended.wait(_LOOK_AGAIN):
            pass

    def results(self) -> list[T]:
        """All results, or the first failure that is more than a sibling's cancellation."""
        failures = [self._failures[position] for position in sorted(self._failures)]
        for failure in failures:
            if not isinstance(failure, Cancelled):
                raise failure
        if failures:
            raise failures[0]
        return [self._results[position] for position in range(len(self._calls))]

    def _take_calls(self) -> None:
        while (task := self._next()) is not None:
            position, call = task
            try:
                self.cancellation.check()
                self._results[position] = call()
            except BaseException as failure:
                self._failures[position] = failure
                self.cancellation.cancel()
                return

    def _next(self) -> tuple[int, Callable[[], T]] | None:
        with self._lock:
            return next(self._waiting, None)


class Conveyor(Generic[T]):
    """A second thread that takes what the caller puts, in order, with at most `depth` items waiting.

    The taker's first failure is raised by the next `put` or `close`; what is put after it is dropped.
    Exactly one of `close` and `abandon` must end it; after both the thread is gone.
    """

    def __init__(self, take: Callable[[T], None], *, depth: int) -> None:
        self._take = take
        self._items: Queue[T | None] = Queue(depth)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lstore-conveyor", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over `item`; waits while `depth` others wait. Raises the taker's failure."""
        if self._failure is not None:
            raise self._failure
        self._items.put(item)

    def close(self) -> None:
        """Wait until all is taken. Raises the taker's failure."""
        self._end()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Take nothing more, and wait for what is under way. Idempotent, also after `close`."""
        self._failure = self._failure or Cancelled()
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            if self._failure is None:
                try:
                    self._take(item)
                except BaseException as error:
                    self._failure = error
