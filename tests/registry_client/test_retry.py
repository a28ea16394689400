"""When to try again, and when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_client.retry import Backoff, RetryPolicy, retry_after

POLICY = RetryPolicy(attempts=5, first_delay=1, longest_delay=4, longest_asked=60, budget=100)
NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


def test_delays_double_up_to_the_longest_and_then_patience_ends() -> None:
    backoff = Backoff(POLICY, lambda: 1.0)

    delays = [backoff.next() for _ in range(5)]

    assert delays == [1, 2, 4, 4, None]


def test_jitter_halves_a_delay_at_most() -> None:
    backoff = Backoff(POLICY, lambda: 0.0)

    assert [backoff.next() for _ in range(3)] == [0.5, 1, 2]


def test_a_server_is_never_asked_before_the_time_it_named() -> None:
    backoff = Backoff(POLICY, lambda: 0.0)

    assert backoff.next(asked=30) == 30


def test_a_server_that_asks_for_too_much_patience_is_given_up() -> None:
    assert Backoff(POLICY, lambda: 0.0).next(asked=61) is None


def test_the_budget_bounds_all_waiting_even_where_there_is_progress() -> None:
    backoff = Backoff(POLICY, lambda: 0.0)

    first = backoff.next(asked=60)
    backoff.progressed()
    second = backoff.next(asked=60)

    assert (first, second) == (60, None)


def test_progress_lets_failures_count_afresh() -> None:
    backoff = Backoff(POLICY, lambda: 1.0)
    for _ in range(4):
        backoff.next()

    backoff.progressed()

    assert backoff.next() == 1


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=50), st.floats(0, 1, exclude_max=True))
def test_the_waiting_of_one_piece_of_work_stays_within_its_budget(
    asked: list[float | None], chance: float
) -> None:
    backoff = Backoff(POLICY, lambda: chance)

    waited = [delay for each in asked if (delay := backoff.next(each)) is not None]

    assert sum(waited) <= POLICY.budget
    assert len(waited) < POLICY.attempts


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 50, float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_retry_after_of_any_text_is_no_error(value: str) -> None:
    result = retry_after(value, NOW)

    assert result is None or result >= 0
