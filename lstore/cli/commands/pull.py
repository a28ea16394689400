"""``lstore pull``."""

from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from layerstore.oci.reference import Reference
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import all_platforms_option, parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import PULL

if TYPE_CHECKING:
    from lstore.engine.pull import Pulled


@verb(PULL)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]", type=IMAGE_NAME)
@click.option("-a", "--all-tags", is_flag=True, help="Download every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Show the digest alone")
@platform_option
@all_platforms_option
@click.pass_obj
def command(
    session: Session, *, name: str, all_tags: bool, quiet: bool, platform: str | None, all_platforms: bool
) -> None:
    from lstore.engine.pull import pull, pull_all_tags

    wanted = parse_platform(platform)
    if wanted is not None and all_platforms:
        raise UsageError("--platform and --all-platforms contradict each other")
    engine = session.engine()
    if all_tags:
        repository = Reference.parse_repository(name)
        done: list[Pulled] = []
        try:
            with session.progress(is_quiet=quiet) as progress:
                for pulled in pull_all_tags(engine, repository, platform=wanted, progress=progress):
                    done.append(pulled)
        finally:  # what is here stays, whatever came after it; it is told once no bar moves any more
            for pulled in done:
                _show(session, pulled, is_quiet=quiet)
        return
    reference = Reference.parse(name)
    if not quiet and reference.digest is None and not name.endswith(f":{reference.tag}"):
        session.line(f"Using default tag: {reference.tag}")
    with session.progress(is_quiet=quiet) as progress:
        pulled = pull(engine, reference, platform=wanted, all_platforms=all_platforms, progress=progress)
    _show(session, pulled, is_quiet=quiet)


def _show(session: Session, pulled: "Pulled", *, is_quiet: bool) -> None:
    if is_quiet:
        session.line(str(pulled.digest))
        return
    news = "Downloaded newer image for" if pulled.is_new else "Image is up to date for"
    session.line(f"Digest: {pulled.digest}")
    session.line(f"Status: {news} {pulled.name.familiar}")
    session.line(str(pulled.name))
