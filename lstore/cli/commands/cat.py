"""``lstore cat``."""

import os
from collections.abc import Sequence

import click

from layerstore.errors import LstoreError
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import CAT


@verb(CAT)
@click.argument("image", metavar="IMAGE")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@platform_option
@click.pass_obj
def command(session: Session, *, image: str, paths: Sequence[str], platform: str | None) -> int:
    from lstore.engine.browse import image_files

    failures: list[LstoreError] = []
    with image_files(session.engine(), image, platform=parse_platform(platform)) as files:
        for path in paths:
            try:
                session.streams.out.binary.writelines(files.read(os.fsencode(path)))
            except LstoreError as error:  # one that is not there does not hide the others
                failures.append(error)
    return session.failed(failures)
