"""``lstore run``, ``lstore container run``."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import parse_platform, platform_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import RUN

if TYPE_CHECKING:
    from lstore.engine.run import Policy
    from runner.spec import Network

NETWORKS = ("none", "host")
POLICIES = ("missing", "always", "never")


@verb(RUN, stops_at_arguments=True)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.argument("words", metavar="[COMMAND] [ARG...]", nargs=-1)
@click.option("--rm", "is_removed", is_flag=True, help="Remove the container when it ends")
@click.option("-e", "--env", multiple=True, metavar="KEY[=VALUE]", help="Set a variable, or pass on our own")
@click.option("--entrypoint", metavar="STRING", help="Run this instead of the image's entrypoint")
@click.option("-h", "--hostname", metavar="STRING", help="The host name inside")
@click.option("-i", "--interactive", is_flag=True, help="Let the command read standard input")
@click.option("--network", type=click.Choice(NETWORKS), default=NETWORKS[0], help="The network inside")
@click.option(
    "--pull", "policy", type=click.Choice(POLICIES), default=POLICIES[0], help="When to pull the image"
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress of a pull")
@click.option("--read-only", is_flag=True, help="Let nothing be written to the root filesystem")
@click.option("-t", "--tty", is_flag=True, help="Refused until consoles come")
@click.option("-u", "--user", metavar="NAME|UID[:GROUP]", help="Who the command runs as")
@click.option("-w", "--workdir", metavar="DIR", help="The working directory inside")
@platform_option
@click.pass_obj
def command(
    session: Session,
    *,
    image: str,
    words: Sequence[str],
    is_removed: bool,
    env: Sequence[str],
    entrypoint: str | None,
    hostname: str | None,
    interactive: bool,
    network: "Network",
    policy: "Policy",
    quiet: bool,
    read_only: bool,
    tty: bool,
    user: str | None,
    workdir: str | None,
    platform: str | None,
) -> int:
    from lstore.engine.run import RunRequest, run

    if tty:
        raise UsageError("cannot give a container a terminal yet", hint="leave out -t")
    if not is_removed:
        raise UsageError("cannot keep a container after its end yet", hint=f"lstore run --rm {image}")
    request = RunRequest(
        image=image,
        command=tuple(words),
        entrypoint=entrypoint,
        env=tuple(_variables(env, session.settings.environment)),
        cwd=workdir,
        user=user,
        hostname=hostname,
        network=network,
        is_read_only=read_only,
        platform=parse_platform(platform),
        pull=policy,
    )
    if not interactive:
        _close_standard_input()
    with session.progress(is_quiet=quiet) as progress:
        return run(session.engine(), request, progress=progress)


def _variables(entries: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """``KEY=VALUE`` as it stands; ``KEY`` alone with our own value, or not at all where we have none."""
    found: list[str] = []
    for entry in entries:
        name, equals, _ = entry.partition("=")
        if not name:
            raise UsageError(f"invalid environment variable: {entry!r}")
        if equals:
            found.append(entry)
        elif name in environment:
            found.append(f"{name}={environment[name]}")
    return found


def _close_standard_input() -> None:
    """Let whatever we start read nothing: docker's way without ``--interactive``."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
