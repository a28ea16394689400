"""The plain report of ``lstore explore``, for pipes, logs and terminals too small for the tree."""

from collections.abc import Iterator, Sequence

from lstore.cli.file_names import file_path, one_line
from lstore.cli.table import align, shortened
from lstore.cli.units import human_size
from lstore.engine.explore import Survey
from lstore.engine.explore_report import largest_directories, largest_files

_STEP_WIDTH = 60


def report_lines(survey: Survey, top: int) -> Iterator[str]:
    """The lines of the report, with at most `top` rows in each list."""
    yield from _head(survey)
    yield from _section("layers", _layers(survey))
    files = [
        f"{size(item.size)}\t{item.layer}\t{file_path(item.path)}"
        for item in largest_files(survey.items, top)
    ]
    yield from _section("largest files", ["SIZE\tLAYER\tPATH", *files])
    directories = largest_directories(survey.whole, top)
    shown = [f"{size(branch.size)}\t{branch.files}\t{file_path(path)}" for path, branch in directories]
    yield from _section("largest directories", ["SIZE\tFILES\tPATH", *shown])
    yield from _section("stored, but not shown", _waste(survey, top))
    yield from _section("stored more than once", _duplicates(survey, top))


def efficiency(survey: Survey) -> str:
    """The score as people read it, never rounded up to a perfect one."""
    return f"{int(survey.efficiency * 1000) / 10:.1f} %"


def size(count: int) -> str:
    """`count` bytes, short."""
    return human_size(count, 3)


def step_text(step: str, width: int = _STEP_WIDTH) -> str:
    """What made a layer, on one line of at most `width` characters."""
    text = one_line(step.removeprefix("/bin/sh -c ").removeprefix("#(nop) ")) or "(not told)"
    return shortened(text, width)


def _head(survey: Survey) -> list[str]:
    return [
        f"Image:       {one_line(survey.name)} ({survey.id.short}, {survey.platform})",
        f"Efficiency:  {efficiency(survey)}: of {size(survey.stored)} stored, {size(survey.wasted)} are not shown",
        f"Duplicates:  {size(survey.duplicated)} in {len(survey.duplicates)} contents stored more than once",
    ]


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *align(rows)] if len(rows) > 1 else []


def _layers(survey: Survey) -> list[str]:
    rows = ["LAYER\tSTORED\tWASTED\tHIDES\tADDED\tCHANGED\tDELETED\tCREATED BY"]
    for number, layer in enumerate(survey.layers):
        sizes = f"{size(layer.stored)}\t{size(layer.wasted)}\t{size(layer.hides)}"
        counts = f"{layer.added}\t{layer.changed}\t{layer.deleted}"
        rows.append(f"{number}\t{sizes}\t{counts}\t{step_text(layer.created_by)}")
    return rows


def _waste(survey: Survey, top: int) -> list[str]:
    rows = ["SIZE\tSTORED IN\tHIDDEN BY\tPATH"]
    for waste in survey.waste[:top]:
        stored = ",".join(str(each.layer) for each, _ in waste.copies)
        hiders = ",".join(str(by) for _, by in waste.copies)
        rows.append(f"{size(waste.size)}\t{stored}\t{hiders}\t{file_path(waste.path)}")
    return rows


def _duplicates(survey: Survey, top: int) -> list[str]:
    rows = ["EXTRA\tCOPIES\tLAYERS\tONE OF THEM"]
    for each in survey.duplicates[:top]:
        layers = ",".join(map(str, sorted({file.layer for file in each.files})))
        rows.append(f"{size(each.extra)}\t{len(each.files)}\t{layers}\t{file_path(each.files[0].path)}")
    return rows
