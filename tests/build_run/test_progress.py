"""How a build is shown: BuildKit's lines for logs, a tree that lives on a terminal, JSON for programs."""

import io
import json
from collections.abc import Iterator

import pytest

from lstore.cli.build_progress import MAX_LOG, Plain, Quiet, RawJson, StepLogs, open_build_progress
from lstore.cli.build_tree import BuildTree
from lstore.cli.terminal import Output


class Tty(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def memory(kind: type[io.TextIOWrapper] = io.TextIOWrapper) -> Output:
    """An `Output` into memory."""
    return Output(kind(io.BytesIO(), encoding="utf-8", write_through=True))


def written(output: Output) -> str:
    buffer = output.binary
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


@pytest.fixture
def clock() -> Iterator[float]:
    """Seconds, one more each time."""
    return iter(range(1000))


def test_plain_lines_are_buildkits(clock: Iterator[float]) -> None:
    err = memory()
    plain = Plain(err, lambda: next(clock))

    plain.begin(5, "[2/3] RUN make")
    plain.output(5, b"one\ntw")
    plain.output(5, b"o\nrest")
    plain.end(5, "done")
    plain.begin(6, "[3/3] COPY a b")
    plain.end(6, "cached")

    lines = written(err).splitlines()
    assert lines[0] == "#5 [2/3] RUN make"
    assert [line.split()[2:] for line in lines[1:4]] == [["one"], ["two"], ["rest"]]
    assert lines[4].startswith("#5 DONE ")
    assert lines[6:8] == ["#6 [3/3] COPY a b", "#6 CACHED"]


def test_raw_json_is_one_object_a_line() -> None:
    err = memory()
    raw = RawJson(err, lambda: 1.5)

    raw.begin(1, "step")
    raw.output(1, b"\xff\n")
    raw.end(1, "failed")

    first, second, third = map(json.loads, written(err).splitlines())
    assert first == {"vertex": 1, "name": "step", "started": 1.5}
    assert second["log"] == "\ufffd\n"
    assert third["outcome"] == "failed"


def test_a_tree_ends_with_every_step_and_its_outcome() -> None:
    stream = Tty(io.BytesIO(), encoding="utf-8", write_through=True)

    with BuildTree(stream) as tree:
        tree.begin(1, "[1/2] FROM busybox")
        tree.end(1, "cached")
        tree.begin(2, "[2/2] RUN \x1b[31mred")
        tree.output(2, b"\x1b]0;title\x07 said\n")
        tree.end(2, "failed")

    shown = written(Output(stream))
    assert "CACHED [1/2] FROM busybox" in shown
    assert "ERROR [2/2] RUN \\x1b[31mred" in shown
    assert "\x1b]0;" not in shown


@pytest.mark.parametrize(("kind", "expected"), [(io.TextIOWrapper, Plain), (Tty, BuildTree)])
def test_the_display_fits_the_stream(kind: type[io.TextIOWrapper], expected: type[object]) -> None:
    with open_build_progress(memory(kind), "auto") as shown:
        assert isinstance(shown, expected)


def test_logs_keep_the_end_of_a_failed_step() -> None:
    logs = StepLogs(Quiet())
    logs.begin(1, "step")

    for _ in range(3):
        logs.output(1, b"x" * MAX_LOG)
    logs.output(1, b"\nthe end\n")
    logs.end(1, "failed")

    assert logs.lines(1)[-1] == "the end"
    assert sum(map(len, logs.lines(1))) <= MAX_LOG


def test_logs_of_other_steps_are_dropped() -> None:
    logs = StepLogs(Quiet())

    logs.output(1, b"x\n")
    logs.end(1, "done")

    assert logs.lines(1) == []
