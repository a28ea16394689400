"""``lstore explore``: a tree on a terminal, else a report; JSON, or a page for a browser."""

import json

import click

from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import EXPLORE
from lstore.engine.output_file import output_file

_DUMB = "dumb"
"""What TERM says of a terminal that cannot move its cursor."""


@verb(EXPLORE)
@click.argument("image", metavar="IMAGE")
@click.option("--format", "form", type=click.Choice(("tree", "text", "json")), help="How to show it")
@click.option("--html", metavar="FILE", help="Write a page for a browser to FILE")
@click.option("--top", type=click.IntRange(0), default=20, metavar="NUMBER", help="Rows of each list")
@platform_option
@click.pass_obj
def command(
    session: Session, *, image: str, form: str | None, html: str | None, top: int, platform: str | None
) -> None:
    from lstore.engine.explore import explore

    survey = explore(session.engine(), image, platform=parse_platform(platform))
    if html is not None:
        from lstore.cli.explore_html import page

        with output_file(html) as stream:
            stream.write(page(survey).encode())
    match form or _usual_form(session, is_written=html is not None):
        case "tree":
            from lstore.cli.explore_terminal import show_tree

            show_tree(session.streams, survey)
        case "json":
            from lstore.engine.explore_report import report

            session.line(json.dumps(report(survey, top=top), indent=2))
        case "text":
            from lstore.cli.explore_text import report_lines

            session.lines(report_lines(survey, top))


def _usual_form(session: Session, *, is_written: bool) -> str:
    """What is shown unless ``--format`` says: nothing beside a page."""
    if is_written:
        return ""
    is_terminal = session.streams.out.is_terminal and session.streams.stdin.isatty()
    is_able = session.settings.environment.get("TERM", _DUMB) != _DUMB
    return "tree" if is_terminal and is_able else "text"
