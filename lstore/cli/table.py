"""Cells and columns as docker lays them out: Go's text/tabwriter with a minimum width of 10 and a padding of 3."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM_WIDTH = 10
PADDING = 3


def align(lines: Sequence[str]) -> list[str]:
    """`lines` with each tab-terminated cell padded to its column.

    A column is a run of neighbouring lines that have that cell; the last cell of a line is in none.
    """
    rows = [line.split("\t") for line in lines]
    column = 0
    while any(len(row) > column + 1 for row in rows):
        _pad_column(rows, column)
        column += 1
    return ["".join(row) for row in rows]


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, the last one ``…`` where there are more, as docker cuts cells."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _pad_column(rows: list[list[str]], column: int) -> None:
    run: list[list[str]] = []
    for row in [*rows, []]:
        if len(row) > column + 1:
            run.append(row)
            continue
        width = max([MINIMUM_WIDTH, *(len(each[column]) + PADDING for each in run)])
        for each in run:
            each[column] = each[column].ljust(width)
        run = []
