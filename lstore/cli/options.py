"""Options that several verbs share, each spelled as docker spells it."""

import click

from layerstore.oci.platform import Platform
from lstore.cli.flags import ALL_PLATFORMS, FILTER, FORMAT, NO_TRUNC, PLATFORM
from lstore.cli.parsing import flags

format_option = flags(FORMAT)
no_trunc_option = flags(NO_TRUNC)
filter_option = flags(FILTER)
yes_option = click.option("-f", "--force", is_flag=True, help="Do not ask")
platform_option = flags(PLATFORM)
all_platforms_option = flags(ALL_PLATFORMS)
since_option = click.option(
    "--since", metavar="TIME", help="From then on: RFC 3339, seconds since 1970, or 10m for ten minutes ago"
)
change_option = click.option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="A Dockerfile instruction to apply",
)
message_option = click.option(
    "-m", "--message", default="", metavar="STRING", help="The comment that the history shows"
)


def parse_platform(text: str | None) -> Platform | None:
    """The platform of ``--platform``; None where the option was not given. Raises `InvalidPlatform`."""
    return None if text is None else Platform.parse(text)
