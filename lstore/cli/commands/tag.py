"""``lstore tag``."""

import click

from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import TAG


@verb(TAG)
@click.argument("source", metavar="SOURCE_IMAGE[:TAG]", type=IMAGE_NAME)
@click.argument("target", metavar="TARGET_IMAGE[:TAG]")
@click.pass_obj
def command(session: Session, *, source: str, target: str) -> None:
    from lstore.engine.tag import tag_image

    tag_image(session.engine().store, source, target)
