"""The light signal module says what the heavy one says."""

import signal

import pytest

from layerstore.linux import signals


@pytest.mark.parametrize("name", [name for name in signals.__all__ if name.isupper()])
def test_numbers_and_actions_are_those_of_the_standard_module(name: str) -> None:
    assert getattr(signals, name) == getattr(signal, name)


def test_a_handler_set_by_one_is_seen_by_the_other() -> None:
    before = signals.signal(signals.SIGUSR1, signals.SIG_IGN)
    try:
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signals.signal(signals.SIGUSR1, before)


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("SIGRTMIN", signal.SIGRTMIN), ("SIG_IGN", None), ("signal", None)]
)
def test_names_of_signals_alone_have_a_number(name: str, number: int | None) -> None:
    assert signals.number_of(name) == number
