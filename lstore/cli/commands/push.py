"""``lstore push``."""

import click

from layerstore.oci.reference import Reference
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import PUSH


@verb(PUSH)
@click.argument("name", metavar="NAME[:TAG]", type=IMAGE_NAME)
@click.option("-a", "--all-tags", is_flag=True, help="Upload every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Show the digest alone")
@platform_option
@click.pass_obj
def command(session: Session, *, name: str, all_tags: bool, quiet: bool, platform: str | None) -> None:
    from lstore.engine.push import push, push_all_tags

    engine = session.engine()
    wanted = parse_platform(platform)
    with session.progress(is_quiet=quiet) as progress:
        if all_tags:
            done = list(push_all_tags(engine, Reference.parse_repository(name), progress=progress))
        else:
            done = [push(engine, Reference.parse(name), platform=wanted, progress=progress)]
    for pushed in done:
        detail = f"{pushed.name.tag}: digest: {pushed.digest} size: {pushed.size}"
        session.line(str(pushed.digest) if quiet else detail)
