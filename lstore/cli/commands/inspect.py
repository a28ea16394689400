"""``lstore inspect``, ``lstore image inspect``."""

import json
from collections.abc import Sequence

import click

from lstore.cli.format import object_text
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import INSPECT


@verb(INSPECT)
@click.argument("images", metavar="IMAGE...", type=IMAGE_NAME, nargs=-1, required=True)
@click.option("-f", "--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.pass_obj
def command(session: Session, *, images: Sequence[str], form: str | None) -> int:
    from lstore.engine.inspect import inspect_images

    result = inspect_images(session.engine().store, images)
    if form is None:
        session.line(json.dumps(result.objects, indent=4, ensure_ascii=False))
    else:
        session.lines(object_text(each, form) for each in result.objects)
    return session.failed(result.failures)
