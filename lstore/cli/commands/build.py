"""``lstore build``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import BUILD

if TYPE_CHECKING:
    from lstore.cli.build_progress import Style


@verb(BUILD)
@click.argument("context", metavar="PATH|URL|-")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name the image")
@click.option("-f", "--file", metavar="FILE", help="The Dockerfile, instead of PATH/Dockerfile")
@click.option("--target", default="", metavar="STAGE", help="Build this stage, instead of the last")
@click.option("--build-arg", "arguments", multiple=True, metavar="KEY[=VALUE]", help="Set a build argument")
@click.option("--progress", "style", type=click.Choice(("auto", "plain", "tty", "rawjson")), default="auto")
@click.option("-q", "--quiet", is_flag=True, help="Show the image's id alone")
@click.option("--no-cache", is_flag=True, help="Carry out every step")
@click.pass_obj
def command(
    session: Session,
    *,
    context: str,
    tags: Sequence[str],
    file: str | None,
    target: str,
    arguments: Sequence[str],
    style: "Style",
    quiet: bool,
    no_cache: bool,
) -> None:
    import os

    from layerstore.build.solver import CachePolicy
    from layerstore.oci.reference import Reference
    from lstore.cli.build_progress import StepLogs, open_build_progress
    from lstore.engine.build.build import build
    from lstore.engine.build.request import BuildRequest

    path = file or os.path.join(context, "Dockerfile")
    with open(path, "rb") as stream:
        raw = stream.read()
    request = BuildRequest(
        raw,
        "Dockerfile",
        context,
        tuple(Reference.parse(t) for t in tags),
        target,
        dict(a.split("=", 1) for a in arguments),
        policy=CachePolicy(no_cache),
    )
    with open_build_progress(session.streams.err, "quiet" if quiet else style) as shown:
        built = build(session.engine(), request, StepLogs(shown))
    session.line(str(built.id))
