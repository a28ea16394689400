"""``lstore copy``."""

import click

from layerstore.errors import UsageError
from lstore.cli.options import all_platforms_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import COPY


@verb(COPY)
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="DESTINATION")
@click.option("-q", "--quiet", is_flag=True, help="Show the digest alone")
@platform_option
@all_platforms_option
@click.pass_obj
def command(
    session: Session, *, source: str, destination: str, quiet: bool, platform: str | None, all_platforms: bool
) -> None:
    """Each of SOURCE and DESTINATION is one of docker://NAME, store:NAME, oci:DIRECTORY[:NAME],
    oci-archive:FILE[:NAME] and docker-archive:FILE[:NAME]."""
    from lstore.engine.copy import copy
    from lstore.engine.place import Place

    wanted = parse_platform(platform)
    if wanted is not None and all_platforms:
        raise UsageError("--platform and --all-platforms contradict each other")
    places = (Place.parse(source), Place.parse(destination))
    with session.progress(is_quiet=quiet) as progress:
        root = copy(
            session.engine(), *places, platform=wanted, all_platforms=all_platforms, progress=progress
        )
    session.line(str(root.digest))
