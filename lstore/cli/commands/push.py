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
@click.option(
    "--compression-format",
    "--compression",
    metavar="FORMAT",
    help="How layers travel: gzip, zstd or none; those made here as gzip unless it is given",
)
@click.option(
    "--compression-level", type=int, metavar="LEVEL", help="How hard to compress: 0 to 9, zstd 1 to 22"
)
@click.option("--force-compression", is_flag=True, help="Compress anew what is compressed otherwise")
@platform_option
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    all_tags: bool,
    quiet: bool,
    compression_format: str | None,
    compression_level: int | None,
    force_compression: bool,
    platform: str | None,
) -> None:
    from lstore.engine.packed import Packing
    from lstore.engine.push import push, push_all_tags

    packing = Packing.parse(compression_format, compression_level, is_forced=force_compression)
    engine = session.engine()
    wanted = parse_platform(platform)
    with session.progress(is_quiet=quiet) as progress:
        if all_tags:
            repository = Reference.parse_repository(name)
            done = list(push_all_tags(engine, repository, packing=packing, progress=progress))
        else:
            reference = Reference.parse(name)
            done = [push(engine, reference, platform=wanted, packing=packing, progress=progress)]
    for pushed in done:
        detail = f"{pushed.name.tag}: digest: {pushed.digest} size: {pushed.size}"
        session.line(str(pushed.digest) if quiet else detail)
