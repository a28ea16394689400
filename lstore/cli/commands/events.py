"""``lstore events``, ``lstore system events``."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from lstore.cli.filters import parse_filters
from lstore.cli.format import object_text
from lstore.cli.moments import parse_moment
from lstore.cli.options import since_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import EVENTS

if TYPE_CHECKING:
    from layerstore.oci.document import Json


@verb(EVENTS)
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="FILTER", help="Show those that pass KEY=VALUE"
)
@since_option
@click.option("--until", metavar="TIME", help="Before then, and end")
@click.option("--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.pass_obj
def command(
    session: Session, *, filters: Sequence[str], since: str | None, until: str | None, form: str | None
) -> None:
    """Goes on with what happens until it is interrupted, or until the time that is given."""
    from lstore.engine.containers.events import events
    from runner.container import now

    present = session.now()
    found = events(
        session.engine(),
        since="" if since is None else parse_moment(since, present),
        until="" if until is None else parse_moment(until, present),
        now=now(),
        filters=parse_filters(filters),
    )
    for event in found:
        session.line(_text(event, form))
        session.streams.out.flush()


def _text(event: "Mapping[str, Json]", form: str | None) -> str:
    from lstore.engine.containers.events import actor, event_time

    if form == "json":
        return json.dumps(event, ensure_ascii=False)
    if form is not None:
        return object_text(event, form)
    identity, attributes = actor(event)
    shown = ", ".join(f"{key}={value}" for key, value in attributes.items())
    return f"{event_time(event)} {event['Type']} {event['Action']} {identity} ({shown})"
