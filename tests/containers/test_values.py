"""The pure parts: keys, policies, health, quantities, moments, records, names."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import StoreDamaged, UsageError
from lstore.cli.moments import parse_moment
from lstore.cli.quantities import parse_binary_size, parse_duration
from lstore.engine.containers.names import propose
from lstore.engine.containers.places import check_name
from runner import record
from runner.container import ContainerConfig, ContainerState, Probe, rfc3339
from runner.health import SECOND, HealthCheck
from runner.home import INNER
from runner.keys import Detacher, parse_keys
from runner.restart import RestartPolicy, next_wait
from runner.signals import parse_signal
from runner.spec import Mount, ProcessSpec

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a", b"a"), ("", b""), ("ctrl-@,ctrl-],x", b"\x00\x1dx")],
)
def test_detach_keys_are_what_a_terminal_types(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "ab", ",", "ctrl-1"])
def test_keys_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid detach key"):
        parse_keys(text)


@given(st.lists(st.sampled_from([b"\x10", b"\x11", b"x"]), max_size=20), st.integers(1, 3))
def test_all_that_is_typed_before_the_detach_keys_goes_through_once(typed: list[bytes], size: int) -> None:
    text = b"".join(typed)
    detacher, through = Detacher(b"\x10\x11"), b""

    for start in range(0, len(text), size):
        if not detacher.is_detached:
            through += detacher.feed(text[start : start + size])

    before, found, _ = text.partition(b"\x10\x11")
    assert detacher.is_detached == bool(found)
    held = b"\x10" if not found and before.endswith(b"\x10") else b""
    assert through + held == before


@pytest.mark.parametrize("text", ["no", "on-failure", "on-failure:5", "always", "unless-stopped"])
def test_policies_are_spelled_as_they_are_parsed(text: str) -> None:
    assert str(RestartPolicy.parse(text)) == text


@pytest.mark.parametrize("text", ["", "never", "always:3", "on-failure:", "on-failure:x", "on-failure:-1"])
def test_policies_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid restart policy"):
        RestartPolicy.parse(text)


def test_a_policy_restarts_as_docker_does() -> None:
    assert not RestartPolicy("no").wants_restart(1, 0)
    assert RestartPolicy("always").wants_restart(0, 100)
    assert RestartPolicy("on-failure").wants_restart(1, 100)
    assert not RestartPolicy("on-failure").wants_restart(0, 0)
    assert RestartPolicy("on-failure", 2).wants_restart(1, 1)
    assert not RestartPolicy("on-failure", 2).wants_restart(1, 2)


def test_the_wait_doubles_up_to_a_minute_and_starts_over_after_a_long_run() -> None:
    waits = [0.0]
    for _ in range(12):
        waits.append(next_wait(waits[-1], 0.5))

    assert waits[1:6] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == 60
    assert next_wait(60, 10) == 0.1


def probe(status: int) -> Probe:
    return Probe("", "", status, "")


def test_health_turns_only_after_enough_failures_in_a_row() -> None:
    check = HealthCheck(("true",), retries=2)
    state = ContainerState("running", health="starting")

    healthy = check.judge(check.judge(state, probe(1), 1), probe(0), 2)
    once = check.judge(healthy, probe(1), 3)
    twice = check.judge(once, probe(1), 4)

    assert [each.health for each in (healthy, once, twice)] == ["healthy", "healthy", "unhealthy"]
    assert (healthy.failing, twice.failing) == (0, 2)
    assert len(twice.probes) == 4


def test_failures_while_it_starts_do_not_count() -> None:
    check = HealthCheck(("true",), start_period=10 * SECOND, retries=1)
    state = ContainerState("running", health="starting")

    early = check.judge(state, probe(1), 9)
    late = check.judge(early, probe(1), 11)

    assert (early.health, late.health) == ("starting", "unhealthy")
    assert check.wait(early, 9) == 5
    assert check.wait(late, 11) == 30


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h30m", 5400 * 10**9), ("1.5s", 1500 * 10**6), ("100ms", 10**8), ("2us", 2000), ("0s", 0)],
)
def test_durations_are_go_s(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1..5s", "-1s", "1h 2"])
def test_durations_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10", 10), ("10b", 10), ("1k", 1024), ("1.5m", 3 << 19), ("2GB", 2 << 30), ("1kib", 1024)],
)
def test_sizes_are_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_binary_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "1mm", "1x", "1..2k", "-1"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid size"):
        parse_binary_size(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000000000Z"),
        ("2024-05-01T10:00:00.123456789+02:00", "2024-05-01T08:00:00.123456000Z"),
        ("0", "1970-01-01T00:00:00.000000000Z"),
        ("1.5", "1970-01-01T00:00:01.500000000Z"),
        ("10m", "2026-05-01T11:50:00.000000000Z"),
    ],
)
def test_moments_are_docker_s(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == moment


def test_times_are_written_to_the_nanosecond() -> None:
    assert rfc3339(1_700_000_000_000_000_007) == "2023-11-14T22:13:20.000000007Z"


@pytest.mark.parametrize(
    ("text", "number"), [("TERM", 15), ("SIGKILL", 9), ("9", 9), ("sigusr1", 10), ("RTMIN+3", 37)]
)
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOPE", "SIG_IGN", "-9"])
def test_signals_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid signal"):
        parse_signal(text)


def test_a_container_survives_its_record() -> None:
    spec = ProcessSpec(("a", "\udcff", "ä"), env=("A=1",), mounts=(Mount("/m", "/s", is_read_only=True),))
    labels = {"a": "b", "class": "HealthCheck", "items": "x"}  # what the record calls its own, too
    config = ContainerConfig(
        "0" * 64, "n", 5, "i", "sha256:0", (), spec, labels=labels, health=HealthCheck(("true",))
    )

    raw = record.dump(config)

    assert record.load(raw, ContainerConfig, INNER, "it") == config
    assert record.unpack(record.pack(config), ContainerConfig, INNER) == config
    assert raw.isascii()


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"class":"Other"}', b'{"class":"ContainerState","nope":1}', b"{"]
)
def test_a_record_that_is_none_is_damage(raw: bytes) -> None:
    with pytest.raises(StoreDamaged, match="cannot read the state"):
        record.load(raw, ContainerState, (Probe,), "the state")


@pytest.mark.parametrize("name", ["ab", "A_b.c-d", "x" * 128])
def test_names_are_docker_s(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "-ab", "a/b", "a b", "../x", "x" * 129])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="invalid container name"):
        check_name(name)


def test_proposed_names_are_names() -> None:
    assert all(check_name(propose(attempt)) for attempt in range(8))
