"""The runner's values: specs that cannot be wrong, id maps, capability masks, and errors across a pipe."""

import json
import os

import pytest

from layerstore.errors import LaunchError, StorageError, UsageError
from runner import namespaces, record
from runner.capabilities import DEFAULT, mask
from runner.failure import LONGEST_REPORT, Doing, from_report, to_report
from runner.namespaces import Extent, IdMap, plan_id_map
from runner.spec import Mount, ProcessSpec


@pytest.mark.parametrize("args", [(), ("",)])
def test_a_spec_without_a_command_cannot_be(args: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="cannot run nothing"):
        ProcessSpec(args)


@pytest.mark.parametrize("field", ["env", "cwd", "user", "args"])
def test_a_nul_is_refused_wherever_it_hides(field: str) -> None:
    values = {"args": ("true",), field: ("a\0b",) if field in ("env", "args") else "a\0b"}

    with pytest.raises(UsageError, match="NUL"):
        ProcessSpec(**values)  # type: ignore[arg-type]  # one of them is wrong on purpose


@pytest.mark.parametrize("hostname", ["", "h" * 65])
def test_a_hostname_that_the_kernel_would_refuse_is_refused(hostname: str) -> None:
    with pytest.raises(UsageError, match="cannot name the host"):
        ProcessSpec(("true",), hostname=hostname)


@pytest.mark.parametrize("target", ["", "/", "//", "/.", "..", "/../.."])
def test_nothing_is_mounted_over_the_root(target: str) -> None:
    with pytest.raises(UsageError, match="has one root"):
        Mount(target)


def test_an_unprivileged_user_s_ids_are_one_without_subordinate_ones() -> None:
    other = "bob:100000:65536\n1000000:1:1\nbad:x:y\nalice:1\n"

    single = plan_id_map(1000, 1001, "alice", other, "alice:5:5\n")
    several = plan_id_map(1000, 1001, "alice", other + "alice:300000:1000\n", "1000:400000:2000\n")

    assert single == IdMap((Extent(0, 1000, 1),), (Extent(0, 1001, 1),))
    assert single.is_single
    assert several == IdMap(
        (Extent(0, 1000, 1), Extent(1, 300000, 1000)), (Extent(0, 1001, 1), Extent(1, 400000, 2000))
    )
    assert not several.is_single


def test_only_the_network_and_the_user_decide_about_namespaces() -> None:
    flags = namespaces.clone_flags

    assert flags("none", is_rootless=False) ^ flags("host", is_rootless=False) == 0x40000000
    assert flags("host", is_rootless=True) ^ flags("host", is_rootless=False) == 0x10000000


def test_the_default_capabilities_are_docker_s_by_number() -> None:
    assert mask(DEFAULT) == 0xA80425FB


def test_an_error_crosses_the_pipe_whole() -> None:
    error = LaunchError("cannot find sh: no such file", hint="lstore inspect IMAGE", exit_status=127)

    received = from_report(to_report(error))

    assert (received.message, received.hint, received.exit_status) == (error.message, error.hint, 127)


@pytest.mark.parametrize(
    "error", [StorageError("cannot mount"), RuntimeError("x"), RecursionError("é" * 9000)]
)
def test_any_other_error_is_125_and_fits_the_pipe(error: BaseException) -> None:
    report = to_report(error)

    assert len(report) <= LONGEST_REPORT
    assert from_report(report).exit_status == 125


def test_doing_says_what_was_being_done() -> None:
    message = r"^cannot read the file: no such file or directory \(/no/such\)$"

    with pytest.raises(LaunchError, match=message), Doing("read the file"):
        os.stat("/no/such")


@pytest.mark.parametrize(
    "text", ['{"a":1,"b":[1,null,true,"\\ud800x"]}', "[]", '{"a":1} ', '"\\u00e9"', "1.5", '{"a":{"b":{}}}']
)
def test_json_is_read_as_json_reads_it(text: str) -> None:
    assert record.from_json(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", '{"a":', "[1", '"x', '{"a":1}x', "nul", "[1,]"])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        record.from_json(text)
