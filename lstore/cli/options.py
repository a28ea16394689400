"""Options that several verbs share, each spelled as docker spells it."""

from collections.abc import Iterable, Mapping, Sequence

import click

from layerstore.errors import UsageError
from layerstore.oci.platform import Platform

format_option = click.option(
    "--format",
    "form",
    metavar="STRING",
    help="Show as 'table', 'table TEMPLATE', 'json', or by a Go template",
)
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Do not shorten what is shown")
filter_option = click.option(
    "-f", "--filter", "filters", multiple=True, metavar="FILTER", help="Show those that pass KEY=VALUE"
)
yes_option = click.option("-f", "--force", is_flag=True, help="Do not ask")
platform_option = click.option(
    "--platform", metavar="OS/ARCH", help="The platform to take, instead of this machine's"
)
all_platforms_option = click.option("--all-platforms", is_flag=True, help="Take the images of every platform")


def parse_platform(text: str | None) -> Platform | None:
    """The platform of ``--platform``; None where the option was not given. Raises `InvalidPlatform`."""
    return None if text is None else Platform.parse(text)


def parse_filters(values: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """``key=value`` and ``key!=value`` by key (the latter as ``key!``). Raises `UsageError`."""
    found: dict[str, list[str]] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid filter {text[:80]!r}: it must be KEY=VALUE")
        found.setdefault(key.strip().lower(), []).append(value.strip())
    return found
