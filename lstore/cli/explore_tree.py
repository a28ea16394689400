"""The interactive tree of ``lstore explore`` as a machine: keys in, what is to be shown out. No terminal here.

Two panes: the views (the whole image, then each layer) and the files of the view at hand. `explore_screen`
draws it, `explore_terminal` reads the keys.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from lstore.cli.file_names import file_path
from lstore.engine.explore import Survey
from lstore.engine.file_tree import Branch, walk

Pane = Literal["views", "files"]
_PAGE = 10
"""Rows that a page key moves by."""


class Row(NamedTuple):
    """One visible line of the file pane."""

    path: bytes
    branch: Branch
    depth: int


class ExploreTree:
    """Where the user is. `press` moves them."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.pane: Pane = "files"
        self.view = 0
        """0 for the whole image, n for layer n - 1."""
        self.cursor = 0
        """The row at hand."""
        self.is_typing = False
        """Whether keys go into `query`."""
        self.query = ""
        self.rows: Sequence[Row] = ()
        self._expanded: set[bytes] = {b""}
        self._trees: dict[int, Branch] = {}
        self._paths: dict[int, list[tuple[str, Row]]] = {}
        self._refresh()

    @property
    def tree(self) -> Branch:
        """The files of the view at hand."""
        if self.view not in self._trees:
            self._trees[self.view] = self.survey.layer(self.view - 1) if self.view else self.survey.whole
        return self._trees[self.view]

    def is_expanded(self, row: Row) -> bool:
        """Whether what is in the row's directory is shown below it."""
        return row.path in self._expanded and not self.query

    def press(self, key: str) -> bool:
        """Do what `key` asks for; False once the user wants to leave."""
        if self.is_typing:
            self._type(key)
            return True
        if key in ("q", "ctrl-c", "ctrl-d"):
            return False
        if key == "/":
            self.is_typing, self.pane = True, "files"
        elif key == "escape":
            self._search("")
        elif key in ("tab", "backtab"):
            self.pane = "views" if self.pane == "files" else "files"
        elif self.pane == "views":
            self._move_view(key)
        else:
            self._move_file(key)
        return True

    def _type(self, key: str) -> None:
        if key in ("enter", "tab", "up", "down"):
            self.is_typing = False
        elif key in ("escape", "ctrl-c"):
            self.is_typing = False
            self._search("")
        elif key == "backspace":
            self._search(self.query[:-1])
        elif len(key) == 1:
            self._search(self.query + key)

    def _search(self, query: str) -> None:
        self.query, self.cursor = query, 0
        self._refresh()

    def _move_view(self, key: str) -> None:
        if key in ("enter", "right", "l"):
            self.pane = "files"
            return
        last = len(self.survey.layers)
        view = _moved(self.view, key, last)
        if view != self.view:
            self.view, self.cursor = view, 0
            self._refresh()

    def _move_file(self, key: str) -> None:
        moves: dict[str, Callable[[Row], None]] = {
            "right": self._open,
            "l": self._open,
            "left": self._close,
            "h": self._close,
            "enter": self._enter,
            " ": self._enter,
        }
        if key in moves and self.rows:
            moves[key](self.rows[self.cursor])
        else:
            self.cursor = _moved(self.cursor, key, len(self.rows) - 1)

    def _open(self, row: Row) -> None:
        """Expand a directory; step into one that is."""
        if self.query or not row.branch.children:
            return
        if self.is_expanded(row):
            self.cursor += 1
        self._expand(row.path, is_open=True)

    def _close(self, row: Row) -> None:
        """Collapse a directory; leave for the parent from anything else."""
        if self.query:
            return
        if self.is_expanded(row) and row.branch.children:
            self._expand(row.path, is_open=False)
        elif row.path:
            self._go_to(row.path.rpartition(b"/")[0])

    def _enter(self, row: Row) -> None:
        """Open or close a directory; among what was found, show where it is."""
        if self.query:
            self._reveal(row.path)
        elif row.branch.children:
            self._expand(row.path, is_open=not self.is_expanded(row))

    def _reveal(self, path: bytes) -> None:
        parts = path.split(b"/")
        self._expanded |= {b"", *(b"/".join(parts[:count]) for count in range(1, len(parts)))}
        self._search("")
        self._go_to(path)

    def _expand(self, path: bytes, *, is_open: bool) -> None:
        if is_open:
            self._expanded.add(path)
        else:
            self._expanded.discard(path)
        self._refresh()

    def _go_to(self, path: bytes) -> None:
        self.cursor = next(number for number, row in enumerate(self.rows) if row.path == path)

    def _refresh(self) -> None:
        self.rows = self._found() if self.query else self._visible()

    def _visible(self) -> list[Row]:
        """The tree as far as it is expanded, the largest first."""
        rows = []
        pending = [Row(b"", self.tree, 0)]
        while pending:
            row = pending.pop()
            rows.append(row)
            if row.path in self._expanded:
                prefix = row.path + b"/" if row.path else b""
                below = [Row(prefix + each.name, each, row.depth + 1) for each in row.branch.by_size()]
                pending += reversed(below)
        return rows

    def _found(self) -> list[Row]:
        """What has the query in its path, in any case, the largest first."""
        if self.view not in self._paths:
            rows = (Row(path, branch, 0) for path, branch in walk(self.tree) if path)
            ordered = sorted(rows, key=lambda row: (-row.branch.size, row.path))
            self._paths[self.view] = [(file_path(row.path).casefold(), row) for row in ordered]
        wanted = self.query.casefold()
        return [row for text, row in self._paths[self.view] if wanted in text]


def _moved(position: int, key: str, last: int) -> int:
    """Where `key` takes a cursor in a list whose last row is `last`."""
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -_PAGE, "page-down": _PAGE}
    if key in ("home", "g"):
        return 0
    if key in ("end", "G"):
        return max(last, 0)
    return max(0, min(position + steps.get(key, 0), last))
