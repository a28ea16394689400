"""The one place where threads start: bounded, the first failure cancels, nothing outlives the block.

A task that may run long takes the `Cancellation` and asks it between chunks, so that a failure of one
layer stops the others within a chunk's time.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from queue import Queue
from typing import Generic, TypeVar

T = TypeVar("T")


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
    shared = cancellation or Cancellation()

    def run(call: Callable[[], T]) -> T:
        shared.check()  # the failed call's own thread may be here before the caller's wakes up
        try:
            return call()
        except BaseException:
            shared.cancel()
            raise

    with ThreadPoolExecutor(max_workers=min(limit, len(pending)), thread_name_prefix="lstore") as pool:
        futures: list[Future[T]] = [pool.submit(run, call) for call in pending]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            _abandon(shared, futures)
            raise
        if any(future.exception() is not None for future in done if not future.cancelled()):
            _abandon(shared, futures)
    return _results(futures)


def _abandon(cancellation: Cancellation, futures: Iterable[Future[T]]) -> None:
    cancellation.cancel()
    for future in futures:
        future.cancel()


def _results(futures: Sequence[Future[T]]) -> list[T]:
    """All results, or the first failure that is more than a sibling's cancellation."""
    failures = [future.exception() for future in futures if not future.cancelled()]
    reasons = [failure for failure in failures if failure is not None]
    for reason in reasons:
        if not isinstance(reason, Cancelled):
            raise reason
    if reasons:
        raise reasons[0]
    return [future.result() for future in futures]


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
