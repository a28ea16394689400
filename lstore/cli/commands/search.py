"""``lstore search``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from lstore.cli.filters import parse_filters
from lstore.cli.format import Columns, list_lines
from lstore.cli.options import filter_option, format_option, no_trunc_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.table import shortened
from lstore.cli.template.nodes import Row
from lstore.cli.verbs import SEARCH

if TYPE_CHECKING:
    from registry_client.search import Found

_DESCRIPTION_WIDTH = 45
_HEADINGS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}
_COLUMNS = Columns(_HEADINGS, tuple(_HEADINGS))


@verb(SEARCH)
@click.argument("term", metavar="TERM")
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=25,
    metavar="NUMBER",
    help="How many results at most: 1 to 100",
)
@filter_option
@format_option
@no_trunc_option
@click.pass_obj
def command(
    session: Session, *, term: str, limit: int, filters: Sequence[str], form: str | None, no_trunc: bool
) -> None:
    from lstore.engine.search import search

    is_wanted = _Wanted(filters)
    found = search(session.engine(), term, limit=limit)
    rows = [_row(each, no_trunc=no_trunc) for each in found if is_wanted(each)]
    session.lines(list_lines(rows, _COLUMNS, form))


class _Wanted:
    """The filters ``stars=N`` and ``is-official=BOOL``."""

    def __init__(self, filters: Sequence[str]) -> None:
        self._stars = 0
        self._is_official: bool | None = None
        for key, values in parse_filters(filters).items():
            if key == "stars" and values[-1].isdigit():
                self._stars = int(values[-1])
            elif key == "is-official" and values[-1] in ("true", "false"):
                self._is_official = values[-1] == "true"
            else:
                raise UsageError(f"invalid filter '{key}={values[-1]}'", hint="lstore search --help")

    def __call__(self, found: "Found") -> bool:
        return found.stars >= self._stars and self._is_official in (None, found.is_official)


def _row(found: "Found", *, no_trunc: bool) -> Row:
    description = " ".join(found.description.split())
    return {
        "Description": description if no_trunc else shortened(description, _DESCRIPTION_WIDTH),
        "IsOfficial": "[OK]" if found.is_official else "",
        "Name": found.name,
        "StarCount": str(found.stars),
    }
