"""Tables, sizes and ages look as docker's do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import UsageError
from lstore.cli.format import Columns, list_lines, object_text
from lstore.cli.table import align
from lstore.cli.units import age, human_duration, human_size, parse_size, timestamp

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def test_columns_are_laid_out_as_docker_lays_them_out() -> None:
    lines = ["REPOSITORY\tTAG\tIMAGE ID\tSIZE", "debian\tlatest\t0123456789ab\t117MB"]

    assert align(lines) == [
        "REPOSITORY   TAG       IMAGE ID       SIZE",
        "debian       latest    0123456789ab   117MB",
    ]


def test_a_column_is_a_run_of_neighbours() -> None:
    assert align(["a\tb", "alone", "wide enough to matter\tc"]) == [
        "a         b",
        "alone",
        "wide enough to matter   c",
    ]


@given(st.lists(st.lists(st.text("ab ", max_size=20), min_size=3, max_size=3), max_size=6))
def test_cells_of_a_column_start_together(rows: list[list[str]]) -> None:
    lines = align(["\t".join(["x" + cell for cell in row]) for row in rows])

    starts = {tuple(line.index("x", at) for at in (0,)) for line in lines}
    assert starts <= {(0,)}
    widths = [max((len(row[column]) + 1 for row in rows), default=0) for column in range(2)]
    for line, row in zip(lines, rows, strict=True):
        assert line[max(10, widths[0] + 3) + max(10, widths[1] + 3) :] == "x" + row[2]


@pytest.mark.parametrize(
    ("size", "precision", "text"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (5091234, 3, "5.09MB"),
        (5091234, 4, "5.091MB"),
        (116_499_000, 3, "116MB"),
        (999_999, 3, "1MB"),
        (2_500_000_000_000, 3, "2.5TB"),
        (10**21, 3, "1e+03EB"),
    ],
)
def test_sizes(size: int, precision: int, text: str) -> None:
    assert human_size(size, precision) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("1.5g", 1_500_000_000), ("20GB", 20 * 10**9), ("3 kB", 3000), ("7b", 7)],
)
def test_sizes_that_people_write(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1XB", "1GiB", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(milliseconds=900), "Less than a second"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(seconds=60), "About a minute"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(hours=1), "About an hour"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=13), "13 days"),
        (timedelta(days=14), "2 weeks"),
        (timedelta(days=60), "2 months"),
        (timedelta(days=729), "24 months"),
        (timedelta(days=730), "2 years"),
        (timedelta(seconds=-5), "Less than a second"),
    ],
)
def test_durations(duration: timedelta, text: str) -> None:
    assert human_duration(duration) == text


def test_ages_and_times_of_images() -> None:
    assert age("2024-05-18T00:00:00Z", NOW) == "2 weeks ago"
    assert age("2024-05-18T02:00:00.123456789+02:00", NOW) == "2 weeks ago"
    assert timestamp("2024-05-18T02:00:00.123456789+02:00") == "2024-05-18 00:00:00 +0000 UTC"
    for unknown in ("", "soon", "0001-01-01T00:00:00Z"):
        assert age(unknown, NOW) == timestamp(unknown) == "N/A"


COLUMNS = Columns({"ID": "IMAGE ID", "Size": "SIZE", "Tag": "TAG"}, ["ID", "Size"])
ROWS = [{"ID": "abc", "Size": "1kB", "Tag": "x"}]


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        (None, ["IMAGE ID   SIZE", "abc        1kB"]),
        ("table", ["IMAGE ID   SIZE", "abc        1kB"]),
        ("table {{.Tag}}\\t{{.ID}}", ["TAG       IMAGE ID", "x         abc"]),
        ("table {{upper .ID}}", ["IMAGE ID", "ABC"]),
        ("table {{json .ID}}", ["IMAGE ID", '"abc"']),
        ("{{.ID}}:{{.Tag}}", ["abc:x"]),
        ("{{.ID}}\\t{{.Tag}}", ["abc\tx"]),
        ("json", ['{"ID":"abc","Size":"1kB","Tag":"x"}']),
        ("tablet", ["tablet"]),
    ],
)
def test_every_kind_of_format(form: str | None, lines: list[str]) -> None:
    assert list(list_lines(ROWS, COLUMNS, form)) == lines


def test_a_bad_template_is_refused_even_for_an_empty_list() -> None:
    with pytest.raises(UsageError):
        list_lines([], COLUMNS, "{{.ID")


def test_one_object_as_json_or_by_template() -> None:
    assert object_text({"a": [1]}, "json") == '{"a":[1]}'
    assert object_text({"a": [1]}, "{{.a}}") == "[1]"
