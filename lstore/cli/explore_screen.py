"""How the interactive tree of ``lstore explore`` looks: one frame for one state and one size of the terminal."""

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.style import Style
from rich.text import Text

from lstore.cli.explore_text import efficiency, size, step_text
from lstore.cli.explore_tree import ExploreTree, Row
from lstore.cli.file_names import file_name, file_path, one_line

_VIEWS_WIDTH = 46
_BORDER = 2
_HEAD = 3
_FOOT = 1
_DETAILS = 6
_SIZE_WIDTH = 8
_BAR_WIDTH = 12
_MARKS = {"": " ", "A": "+", "C": "~", "D": "-"}
_COLOURS = {"": "", "A": "green", "C": "yellow", "D": "red"}
_CURSOR = Style(reverse=True)
_HELP = "↑↓ move  ←→ close, open  tab layers / files  / search  q quit"
_GOOD, _FAIR = 0.95, 0.85


def frame(state: ExploreTree, width: int, height: int) -> RenderableType:
    """The whole screen, `width` cells by `height` lines."""
    body = max(height - _HEAD - _FOOT, _BORDER + 1)
    left = min(_VIEWS_WIDTH, width // 2)
    layout = Layout()
    layout.split_column(
        Layout(_head(state), size=_HEAD),
        Layout(name="body", size=body),
        Layout(_foot(state), size=_FOOT),
    )
    views, files = Layout(size=left), Layout()
    layout["body"].split_row(views, files)
    details = _DETAILS if body > 3 * _DETAILS else 0
    views.update(_views(state, body - _BORDER - details, details))
    files.update(_files(state, body - _BORDER, width - left - 2 * _BORDER))
    return layout


def _head(state: ExploreTree) -> RenderableType:
    survey = state.survey
    colour = "green" if survey.efficiency >= _GOOD else "yellow" if survey.efficiency >= _FAIR else "red"
    return Group(
        Text.assemble(
            (one_line(survey.name), "bold"), f"  {survey.id.short}  {survey.platform}", no_wrap=True
        ),
        Text.assemble(
            "efficiency ",
            (efficiency(survey), f"bold {colour}"),
            f"   stored {size(survey.stored)}   wasted {size(survey.wasted)}"
            f"   duplicated {size(survey.duplicated)}",
            no_wrap=True,
        ),
    )


def _foot(state: ExploreTree) -> RenderableType:
    if state.is_typing:
        return Text(f"/{state.query}▏", style="bold", no_wrap=True)
    found = f"{len(state.rows)} found for {state.query!r}, esc clears   " if state.query else ""
    return Text(found + _HELP, style="dim", no_wrap=True)


def _views(state: ExploreTree, height: int, details: int) -> RenderableType:
    lines = [_line(f"{size(state.survey.stored - state.survey.wasted):>8}  the whole image", "bold")]
    for layer in state.survey.layers:
        lines.append(_line(f"{size(layer.stored):>8}  {step_text(layer.created_by, 200)}", ""))
    lines[state.view].stylize(_CURSOR)
    shown = _window(lines, state.view, height)
    if details:
        shown += [*[Text()] * (height - len(shown)), *_details(state)]
    return Panel(Group(*shown), title="layers", border_style=_border(is_active=state.pane == "views"))


def _details(state: ExploreTree) -> list[Text]:
    """What there is to say of the view at hand, `_DETAILS` lines."""
    survey = state.survey
    if not state.view:
        return [
            _line("", ""),
            _line(f"{state.tree.files} files in {len(survey.layers)} layers", "dim"),
            _line(f"{len(survey.waste)} paths are stored and not shown", "dim"),
            _line(f"{len(survey.duplicates)} contents are stored more than once", "dim"),
        ]
    layer = survey.layers[state.view - 1]
    return [
        _line("", ""),
        _line(f"diff_id {layer.diff_id.short}  blob {layer.digest.short}", "dim"),
        _line(f"{size(layer.compressed)} compressed", "dim"),
        _line(f"{layer.added} added  {layer.changed} changed  {layer.deleted} deleted", "dim"),
        _line(f"hides {size(layer.hides)} of lower layers", "dim"),
        _line(f"{size(layer.wasted)} of its own are not shown", "dim"),
    ]


def _files(state: ExploreTree, height: int, width: int) -> RenderableType:
    start = _first(state.cursor, len(state.rows), height)
    lines = [_file(state, row, width) for row in state.rows[start : start + height]]
    if lines:
        lines[state.cursor - start].stylize(_CURSOR)
    else:
        lines = [Text(f"nothing has {state.query!r} in its path", style="dim")]
    title = "files of the image" if not state.view else f"what layer {state.view - 1} changes"
    return Panel(Group(*lines), title=title, border_style=_border(is_active=state.pane == "files"))


def _file(state: ExploreTree, row: Row, width: int) -> Text:
    branch = row.branch
    item = branch.item
    mark = item.mark if item is not None else ""
    is_deleted = mark == "D"
    shown = size(branch.deleted if is_deleted else branch.size)
    if state.query:
        name = file_path(row.path)
    else:
        arrow = ("▾ " if state.is_expanded(row) else "▸ ") if branch.children else "  "
        name = "  " * row.depth + arrow + (file_name(branch.name) or "/")
    if branch.is_directory and branch.name:
        name += "/"
    if item is not None and item.entry.link and not is_deleted:
        name += f" → {file_name(item.entry.link)}"
    style = _COLOURS[mark] or ("bold" if branch.is_directory else "")
    if branch.wasted and not branch.children:
        style = "magenta"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{_MARKS[mark]} ", style=_COLOURS[mark])
    line.append(f"{shown:>{_SIZE_WIDTH}} ", style="cyan")
    line.append(_bar(branch.size, state.tree.size) + " ", style="blue")
    line.append(name, style=style)
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


def _bar(part: int, whole: int) -> str:
    """The part of the whole, in eighths of a cell."""
    eighths = part * _BAR_WIDTH * 8 // whole if whole else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(_BAR_WIDTH)


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _border(*, is_active: bool) -> str:
    return "bright_blue" if is_active else "dim"


def _first(cursor: int, count: int, height: int) -> int:
    """The first of `count` rows to be shown so that the one at hand is, in the middle where it can be."""
    return max(0, min(cursor - height // 2, count - height))


def _window(lines: list[Text], cursor: int, height: int) -> list[Text]:
    start = _first(cursor, len(lines), height)
    return lines[start : start + height]
