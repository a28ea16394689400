"""``lstore inspect``, ``lstore image inspect``, ``lstore container inspect``."""

import json
from collections.abc import Sequence

import click

from lstore.cli.format import object_text
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import INSPECT

_KINDS = ("container", "image")


@verb(INSPECT)
@click.argument("names", metavar="NAME...", type=IMAGE_NAME, nargs=-1, required=True)
@click.option("-f", "--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.option("-s", "--size", "has_size", is_flag=True, help="Show how much containers have written")
@click.option(
    "--type",
    "kind",
    type=click.Choice(_KINDS),
    help="What the names stand for; without it, containers come first",
)
@click.pass_context
def command(
    context: click.Context, *, names: Sequence[str], form: str | None, has_size: bool, kind: str | None
) -> int:
    from lstore.engine.containers.inspect import inspect

    session: Session = context.obj
    family = context.parent.info_name if context.parent is not None else None
    wanted = kind or (family if family in _KINDS else None)
    result = inspect(session.engine(), names, kind=wanted, has_size=has_size)
    if form is None:
        session.line(json.dumps(result.objects, indent=4, ensure_ascii=False))
    else:
        session.lines(object_text(each, form) for each in result.objects)
    return session.failed(result.failures)
