"""Docker's ``--format``: ``json``, ``table``, ``table TEMPLATE``, or a template per row."""

from __future__ import annotations

from layerstore.value import Value as Frozen
from lstore.cli.table import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lstore.cli.template.functions import Function
    from lstore.cli.template.nodes import Row, Value

_JSON = "{{json .}}"
_ESCAPES = (("\\t", "\t"), ("\\n", "\n"))


def _first(value: Value, *rest: Value) -> Value:
    return value


def _last(*values: Value) -> Value:
    return values[-1] if values else ""


_HEADER_FUNCTIONS: Mapping[str, Function] = {
    "json": _first,
    "lower": _first,
    "title": _first,
    "truncate": _first,
    "split": _first,
    "join": _first,
    "index": _last,
}
"""A header goes through the template as its cells do, and must come out as it is (docker's HeaderFunctions)."""


class Columns(Frozen):
    """A list's fields with their headings, and those that its table shows unless told otherwise."""

    headings: Mapping[str, str]
    shown: Sequence[str]

    @property
    def table(self) -> str:
        """The template of the default table."""
        return "\t".join(f"{{{{.{name}}}}}" for name in self.shown)


def list_lines(rows: Iterable[Row], columns: Columns, form: str | None) -> Iterator[str]:
    """The lines that show `rows` as `form` says; None is the table. Raises `UsageError` for a bad template."""
    if form in (None, "table"):
        cells = [columns.headings, *rows]
        return iter(align(["\t".join(_cell(row[name]) for name in columns.shown) for row in cells]))
    return _by_template(rows, columns, str(form))


def _cell(value: Value) -> str:
    if isinstance(value, str):
        return value
    from lstore.cli.template.functions import go_string

    return go_string(value)


def _by_template(rows: Iterable[Row], columns: Columns, form: str) -> Iterator[str]:
    from lstore.cli.template import Template
    from lstore.cli.template.functions import FUNCTIONS

    is_table = form.startswith("table ")
    source = form.removeprefix("table").strip() if is_table else form
    source = columns.table if is_table and not source else source
    source = _JSON if source == "json" and not is_table else source
    for escape, character in _ESCAPES:
        source = source.replace(escape, character)
    template = Template(source)
    lines = [template.render(row) for row in rows]
    if is_table:
        header = Template(source, {**FUNCTIONS, **_HEADER_FUNCTIONS}).render(columns.headings)
        return iter(align([header, *lines]))
    return iter(lines)


def object_text(value: Value, form: str) -> str:
    """One object as `form` says: ``json`` or a template."""
    from lstore.cli.template import Template

    return Template(_JSON if form == "json" else form).render(value)
