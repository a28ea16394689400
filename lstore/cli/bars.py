"""Progress bars with rich: one line per item, and the whole with its rate. Imported only when drawn."""

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Display
from rich.text import Text

from layerstore.progress import Phase
from lstore.cli.terminal import printable
from lstore.cli.units import human_size

_FINAL: frozenset[Phase] = frozenset({"done", "exists", "mounted"})
_TRANSFERS: frozenset[Phase] = frozenset(
    {"downloading", "resuming", "loading", "uploading", "reading", "writing"}
)
_BAR_WIDTH = 30


class _Amount(ProgressColumn):
    """``5.1MB/20MB``, or nothing where the size is not known."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text("")
        return Text(f"{human_size(int(task.completed), 3)}/{human_size(int(task.total), 3)}")


class _Rate(ProgressColumn):
    """Bytes per second of what moves."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{human_size(int(speed), 3)}/s" if speed else "")


class Drawing:
    """A live display. The caller lets one thread in at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False)
        self._display = Display(
            TextColumn("{task.fields[name]}", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=_BAR_WIDTH),
            _Amount(),
            _Rate(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int] = {}
        self._whole: TaskID | None = None
        self._moved = 0
        self._display.start()

    def phase(self, key: str, phase: Phase, word: str, total: int | None) -> None:
        """Show item `key` as `word`; a final phase fills its bar."""
        if key not in self._tasks:
            self._tasks[key] = self._display.add_task("", name=printable(key), total=total)
        task = self._tasks[key]
        self._display.update(task, description=word)
        if phase in _TRANSFERS and total is not None:
            self._display.update(task, total=total, completed=0)
            self._sizes[key] = total
            self._show_whole()
        if phase in _FINAL:
            self._display.update(task, total=self._sizes.get(key, 0), completed=self._sizes.get(key, 0))

    def _show_whole(self) -> None:
        if len(self._sizes) < 2:
            return
        if self._whole is None:
            self._whole = self._display.add_task("", name="total", completed=self._moved)
        self._display.update(self._whole, total=sum(self._sizes.values()))

    def advance(self, key: str, amount: int) -> None:
        """`amount` more bytes of `key` went through."""
        if key in self._tasks:
            self._display.advance(self._tasks[key], amount)
        if key in self._sizes:
            self._moved += amount
            if self._whole is not None:
                self._display.advance(self._whole, amount)

    def note(self, message: str) -> None:
        """Print `message` above the bars."""
        self._console.print(printable(message))

    def stop(self) -> None:
        """Draw the last state, and nothing after."""
        self._display.stop()
