"""When to try again: exponential backoff with jitter, Retry-After, a budget. RFC 9110, section 10.2.3."""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from layerstore.dataclass import dataclass

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may cure."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient to be; all times in seconds."""

    attempts: int = 5
    """Tries in all, the first included."""
    first_delay: float = 0.5
    longest_delay: float = 20.0
    longest_asked: float = 120.0
    """A server that asks for more patience than this is given up at once."""
    budget: float = 300.0
    """Waiting in all for one piece of work."""


IMPATIENT = RetryPolicy(attempts=1)
"""For a mirror: the next one is better than waiting."""


class Backoff:
    """The waiting of one piece of work. `chance` gives numbers in [0, 1)."""

    def __init__(self, policy: RetryPolicy, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self._failures = 0
        self._waited = 0.0

    def next(self, asked: float | None = None) -> float | None:
        """Seconds to wait after one more failure, None to give up; `asked` is the server's Retry-After."""
        policy = self._policy
        self._failures += 1
        if self._failures >= policy.attempts:
            return None
        if asked is not None and asked > policy.longest_asked:
            return None
        ceiling = min(policy.longest_delay, policy.first_delay * 2.0 ** (self._failures - 1))
        jittered = ceiling / 2 + self._chance() * ceiling / 2
        # Never before the asked-for time; the jitter after it keeps clients from coming back in step.
        delay = jittered if asked is None else asked + self._chance() * policy.first_delay
        if self._waited + delay > policy.budget:
            return None
        self._waited += delay
        return delay

    def progressed(self) -> None:
        """Something worked: count failures afresh. The budget stays spent."""
        self._failures = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """A policy with the clock, the dice and the sleep that it needs."""

    policy: RetryPolicy
    now: Callable[[], float]
    """Seconds since 1970."""
    chance: Callable[[], float]
    sleep: Callable[[float], None]

    def backoff(self, policy: RetryPolicy | None = None) -> Backoff:
        """Fresh patience for one piece of work."""
        return Backoff(policy or self.policy, self.chance)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from `now` that a Retry-After field (seconds or an HTTP date) asks for; None if unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 12 else float("inf")
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": UTC, by RFC 5322
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
